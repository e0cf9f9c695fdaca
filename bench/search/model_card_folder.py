"""The folder that is given away: whole or not there. Decides nothing and measures nothing."""

import json
import shutil
from pathlib import Path

from bench.search.model_card import Card, Made
from bench.search.model_card_base import licence_files
from bench.search.model_card_text import readme
from nas.data.tokens import tokenizer_of
from nas.extract.folder import RECORD, replaced

CARD, README = "card.json", "README.md"
TOKENIZER = "tokenizer.json"


def read_key(path: Path) -> tuple[str, int] | None:
    """Of which search's which winner a card is; None where it is none."""
    try:
        origin = json.loads(path.read_text("utf-8"))["origin"]
        return str(origin["search"]), int(origin["winner"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(target: Path, made: Made, card: Card) -> None:
    """A Hugging Face folder with its ONNX files, README.md and card.json.

    Raises:
        BadInputError: it cannot be written; what was there is kept.
    """
    beside = [made.found.saved.folder]
    if made.lessons is not None and made.lessons.teacher is not None:
        beside.insert(0, made.lessons.teacher)
    with replaced(target) as folder:
        # the record of an extract names a folder of this machine; the card says all else of it
        ignored = shutil.ignore_patterns(RECORD, ".*")
        shutil.copytree(made.best.folder, folder, ignore=ignored, dirs_exist_ok=True)
        for path in licence_files(beside):
            shutil.copyfile(path, folder / path.name)
        if not (folder / TOKENIZER).is_file():
            tokenizer_of(folder).save(str(folder / TOKENIZER))
        (folder / README).write_text(readme(card, made.task), encoding="utf-8")
        (folder / CARD).write_bytes(card.bytes)
