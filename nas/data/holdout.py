"""Some of a split's examples put aside, as `nas.data.splits` chooses them. Knows no file."""

from collections.abc import Sequence

from nas.data.splits import Example, divide
from nas.data.task import TRAIN, Split
from results.errors import BadInputError


def held_out(
    train: Split, part: str, *, stratified: bool = True, groups: Sequence[str] = ()
) -> tuple[Split, Split]:
    """What is left, and a tenth of the examples (2,000 at most), both in the order they had.

    Args:
        train: examples with labels or answers.
        part: what the second one is for, `dev` or `test`.
        stratified: a tenth of each label, not only of all.
        groups: of each example; those of a group stay together. Else those of one text do.

    Raises:
        BadInputError: there are too few.
    """
    examples = _examples(train, groups)
    places = {id(example): place for place, example in enumerate(examples)}
    divided = divide(examples, (part,), stratified=stratified and not groups)
    if not divided[part]:
        whole = "group" if groups else "label" if stratified else "text"
        message = f"{len(train)} examples are too few to hold out a tenth for {part}, {whole} by "
        raise BadInputError(f"{message}{whole}; give more")
    left, aside = ([places[id(e)] for e in divided[name]] for name in (TRAIN, part))
    return chosen(train, left), chosen(train, aside)


def chosen(split: Split, places: Sequence[int]) -> Split:
    """The examples at these places, in that order."""
    return Split(
        tuple(split.texts[n] for n in places),
        None if split.pairs is None else tuple(split.pairs[n] for n in places),
        tuple(split.labels[n] for n in places) if split.labels else (),
        tuple(split.answers[n] for n in places) if split.answers else (),
        tuple(split.names[n] for n in places) if split.names else (),
    )


def _examples(split: Split, groups: Sequence[str]) -> list[Example]:
    return [
        Example(
            split.texts[n],
            str(split.labels[n]) if split.labels else "",
            split.pairs[n] if split.pairs else None,
            groups[n] if groups else "",
        )
        for n in range(len(split))
    ]
