"""Does a network fit a task? Every way in which it does not is one sentence."""

from typing import TYPE_CHECKING

from nas.data.task import Split, Task
from nas.folder import Saved
from results.errors import BadInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS, SPAN_TOKENS = 128, 384
"""Where texts are cut if nobody says: one text or two; a question and a window of its text."""

SPARE = 128
"""Words that a network may have more than its tokeniser: tables are rounded up by some."""

GENERIC = "LABEL_"
"""How labels are called that nobody named."""


def require_head(saved: Saved, task: Task) -> None:
    """Raise BadInputError if the head of the network is not for this task."""
    head, where = saved.head, f"{saved.folder}"
    if head is None:
        raise BadInputError(
            f"{where} has no head, so it cannot answer {task.name}: train one on the task first"
        )
    if head.work != task.kind:
        raise BadInputError(
            f"{where} has a head for {head.work} and {task.name} asks for {task.kind}: give a "
            "network that was trained on the task"
        )
    if task.kind != "classes":
        return
    if head.outputs != len(task.labels):
        raise BadInputError(
            f"{where} tells {head.outputs} labels apart and {task.name} has {len(task.labels)}: "
            "give a network that was trained on the task"
        )
    pairs = zip(saved.labels, task.labels, strict=True)
    for number, (theirs, ours) in enumerate(pairs):
        if theirs != ours and not theirs.startswith(GENERIC):
            raise BadInputError(
                f"{where} calls label {number} {theirs!r} and {task.name} calls it {ours!r}: give "
                "a network that was trained on the task"
            )


def require_words(saved: Saved, tokenizer: "Tokenizer") -> None:
    """Raise BadInputError if the tokeniser is not the one of the network."""
    words = max(tokenizer.get_vocab().values(), default=-1) + 1
    if not words <= saved.architecture.vocab < words + SPARE:
        raise BadInputError(
            f"the tokenizer in {saved.folder} has {words} words and the network "
            f"{saved.architecture.vocab}: put the tokenizer's files there that it was trained with"
        )


def most_tokens(saved: Saved, task: Task, wanted: int | None) -> int:
    """Where texts are cut: as wanted, or where it is usual for the task.

    Raises:
        BadInputError: the network has fewer positions.
    """
    there = saved.architecture.positions
    if wanted is None:
        return min(there, SPAN_TOKENS if task.kind == "span" else TOKENS)
    if not 1 <= wanted <= there:
        raise BadInputError(
            f"{wanted} tokens do not fit the {there} positions of {saved.folder}: give a number "
            f"from 1 to {there}"
        )
    return wanted


def split_of(task: Task, name: str) -> Split:
    """A split of a task.

    Raises:
        BadInputError: there is none of that name, or nothing in it.
    """
    if name not in task.splits:
        there = ", ".join(task.splits)
        raise BadInputError(f"{task.name} has no split {name!r}: it has {there}")
    if not len(task.splits[name]):
        raise BadInputError(f"the split {name!r} of {task.name} is empty: choose another")
    return task.splits[name]
