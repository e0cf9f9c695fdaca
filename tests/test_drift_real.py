"""On real weights and real sentences: what each scheme costs, in the order that was promised."""

import re
from pathlib import Path

import pytest

from bench.drifting import Question, compare

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def sentences() -> list[str]:
    """Prose of this project's own pages: code, tables and headings left out."""
    found: list[str] = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        lines = [line for line in text.splitlines() if not line.startswith(("#", "|", "    "))]
        found += re.split(r"(?<=[.:;])\s+", re.sub(r"[`*\[\]]", "", " ".join(lines)))
    return [sentence for sentence in found if len(sentence.split()) > 4]


@pytest.mark.weights
def test_ptq_keeps_the_promised_cosines_and_finer_grids_are_nearer(
    minilm: Path, tmp_path: Path
) -> None:
    text = tmp_path / "pages.txt"
    text.write_text("\n".join(sentences()) + "\n", encoding="utf-8")
    schemes = (
        "ptq",
        "int8-dynamic:activations=token",
        "int8-dynamic",
        "int8-dynamic:weights=tensor",
        "int8-seed",
    )

    found = compare(Question(minilm, text, None, schemes, ("onnxruntime",), 64, sensitivity=False))

    drift = {r.scheme: r.drift for r in found.results}
    assert drift["ptq"].sentences > 50
    assert drift["ptq"].cosine >= 0.99
    assert drift["ptq"].least_cosine >= 0.97
    token, channel, tensor = (drift[s].token_cosine for s in schemes[1:4])
    assert token > channel + 0.003
    assert channel > tensor + 0.02
    assert drift["ptq"].token_cosine > drift["int8-seed"].token_cosine
    size = {r.scheme: r.model_bytes for r in found.results}
    assert 0.25 * size["fp32"] < size["ptq"] < 0.27 * size["fp32"]
