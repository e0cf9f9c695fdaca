"""What decides a score, as one digest. Knows no engine and no ledger."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.elastic import Rule

VERSION = 1
"""Of what answers and metrics mean; one more makes every score of before a stranger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What all sub-models of a supernet are asked, and out of which numbers they answer."""

    weights: str
    """SHA-256 of the file."""
    rule: str
    metrics: tuple[str, ...]
    split: str
    """SHA-256 of the examples."""
    tokens: str
    """SHA-256 of what the tokeniser made of them."""
    most_tokens: int

    def key(self, asked: Mapping[str, object]) -> str:
        """SHA-256 of this and of what is `asked` for: 64 hexadecimal digits."""
        facts = {"version": VERSION, **asdict(self), **asked}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file: 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def rule_text(rule: Rule) -> str:
    """A rule as JSON, the same for rules that are alike."""
    kept = sorted((depth, list(layers)) for depth, layers in rule.kept.items())
    return json.dumps({"heads": rule.heads, "depth": rule.depth, "kept": kept})
