"""What a search needs before it can begin: cards, teacher, supernet. What lacks can be made."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.fitting import default_card
from bench.search.request import MIXED, Asked
from results.errors import BadInputError

if TYPE_CHECKING:
    from bench.forecasters import Forecaster
    from bench.request import Ground
    from nas.folder import Saved
    from nas.space import SearchSpace
    from predictors.card import Card

DEFAULT_SPACE = "minilm"
DONE = "result.json"
"""What a training leaves when it is through."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that is not there, and the command that makes it."""

    what: str
    why: str
    module: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """As a person would type it."""
        return shlex.join([self.module.partition(".")[0], *self.arguments])


def teacher_of(asked: Asked) -> Path:
    """Where the teacher is, or will be."""
    return asked.teacher or asked.models / "teacher"


def supernet_of(asked: Asked) -> Path:
    """Where the supernet is, or will be."""
    return asked.supernet or asked.models / "supernet"


def missing_networks(asked: Asked) -> Iterator[Missing]:
    """Teacher and supernet, where they have to be trained.

    Raises:
        BadInputError: one was named and is not there.
    """
    supernet, teacher = supernet_of(asked), teacher_of(asked)
    if asked.supernet is not None:
        if not (supernet / "config.json").is_file():
            raise BadInputError(
                f"--supernet {supernet} is no folder of a supernet: name one that `nas train "
                "supernet` made, or leave --supernet out"
            )
        return
    if (supernet / DONE).is_file():
        return
    if asked.teacher is None and not (teacher / DONE).is_file():
        arguments = ("train", "teacher", *asked.task_options, "--model", asked.model)
        yield Missing(
            f"a network that knows {asked.task}",
            f"there is none in {teacher}",
            "nas.cli",
            (*arguments, "--output", str(teacher)),
        )
    elif asked.teacher is not None and not (teacher / "config.json").is_file():
        raise BadInputError(f"--teacher {teacher} is no folder of a network: name another")
    space = ("--space", asked.space or DEFAULT_SPACE)
    made = ("--teacher", str(teacher), *space, "--output", str(supernet))
    yield Missing(
        f"a supernet for {asked.task}",
        f"there is none in {supernet}",
        "nas.cli",
        ("train", "supernet", *asked.task_options, *made),
    )


def schemes_of(asked: Asked) -> tuple[str, ...]:
    """Those that rows are needed of."""
    return ("fp32", "ptq") if asked.quant == MIXED else (asked.scheme,)


def missing_card(
    asked: Asked, ground: "Ground", space: "SearchSpace", tokens: Sequence[int]
) -> Missing | None:
    """The predictors of a device, where there are none that fit; None where there are."""
    device = ground.device.name
    try:
        forecaster_of(asked, ground, space, tokens)
    except BadInputError as error:
        why = str(error).partition(": measure")[0]
        if asked.ray is not None:
            raise BadInputError(
                f"{why}: make the card of {device} there, with `bench profile --for-predictor`, "
                f"and copy it to {default_card(asked.results, device)}"
            ) from None
    else:
        return None
    named = _named(space, asked.models)
    arguments = ["profile", "--device", device, "--for-predictor", "--space", named]
    arguments += ["--runtime", asked.runtime]
    for scheme in schemes_of(asked):
        arguments += ["--scheme", scheme]
    for length in tokens:
        arguments += ["--tokens", str(length)]
    if asked.devices is not None:
        arguments += ["--devices", str(asked.devices)]
    arguments += ["--results", str(asked.results)]
    return Missing(f"predictors of {device}", why, "bench.cli", tuple(arguments))


def _named(space: "SearchSpace", folder: Path) -> str:
    """What `--space` takes: a name, or a file that is written for one of no name."""
    from nas.config import write_json
    from nas.space import builtin_spaces, load_space

    if space.name in builtin_spaces() and load_space(space.name) == space:
        return space.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "space.yaml"  # JSON is YAML too
    write_json(path, space.fields)
    return str(path)


def forecaster_of(
    asked: Asked, ground: "Ground", space: "SearchSpace", tokens: Sequence[int]
) -> "Forecaster":
    """The predictor of a device's card, with a workload for each length of text.

    Raises:
        BadInputError: there is none, it was fitted elsewhere or in other versions, or the space
            or the lengths are outside the range of its rows.
    """
    from bench.forecasters import Wanted, forecasters, of_mixtures

    card = card_of(asked, ground.device.name)
    if asked.ray is None:
        require_here(card, ground)
    wanted = Wanted(
        runtimes=(asked.runtime,),
        schemes=(asked.scheme,),
        batch=ground.device.batch,
        tokens=tuple(tokens),
        threads=ground.device.threads,
        confidence=asked.confidence,
    )
    if asked.quant == MIXED:
        forecaster = of_mixtures(card, wanted, asked.scheme)
    else:
        (forecaster,) = forecasters(card, wanted).forecasters
    _require_range(forecaster, space, card.path)
    return forecaster


def card_of(asked: Asked, device: str) -> "Card":
    """The card of a device in the ledger's folder.

    Raises:
        BadInputError: there is none, or it is of another device.
    """
    from predictors.card import read_card

    path = default_card(asked.results, device)
    if not path.exists():
        raise BadInputError(f"there is no device card {path}")
    card = read_card(path)
    if card.device != device:
        raise BadInputError(f"{path} is the card of {card.device}, not of {device}")
    return card


def require_here(card: "Card", ground: "Ground") -> None:
    """Raise BadInputError if the card was fitted on another machine or in other versions."""
    from bench.training import unlike
    from profiler.device import CAPS
    from profiler.environment import read_environment
    from profiler.isolate import stable_variables

    variables = stable_variables({}, ground.device.threads, CAPS.get(ground.cap, {}))
    here = read_environment(variables)
    if found := unlike(card.environment, here):
        name, (there, now) = next(iter(found.items()))
        more = f", and in {len(found) - 1} more things" if len(found) > 1 else ""
        raise BadInputError(
            f"{card.path} was fitted elsewhere: {name} was {there!r} and is {now!r} here{more}"
        )


def _require_range(forecaster: "Forecaster", space: "SearchSpace", path: Path) -> None:
    """Is anything of the space near the rows, at every length?"""
    import numpy as np

    from bench.candidates import Listed, Part
    from bench.search.oracle import FAR

    drawn = space.sample_unique(np.random.default_rng(0), min(200, space.count))
    part = Listed(Part.of(drawn), space.positions, space).part
    for work in forecaster.workloads:
        columns = part.columns(work, forecaster.numerics)
        beyond = forecaster.made.domain.beyond(columns)
        if (beyond > FAR).mean() > 0.5:  # noqa: PLR2004 - most of the space
            why = forecaster.made.domain.why(columns)[int(beyond.argmax())]
            raise BadInputError(f"{path} was fitted to other networks: {why}")


def make(missing: Sequence[Missing], say: Callable[[str], None]) -> None:
    """Run the commands one after the other, each in a process of its own.

    Raises:
        BadInputError: one of them failed; what it made so far is kept.
    """
    for part in missing:
        say(f"making {part.what}: {part.command}")
        command = [sys.executable, "-P", "-m", part.module, *part.arguments]
        # what they print is no output of the search: it goes to standard error
        code = subprocess.run(command, check=False, stdout=2).returncode  # noqa: S603
        if code in (130, -2):
            raise KeyboardInterrupt
        if code:
            raise BadInputError(
                f"`{part.command}` ended with exit code {code}: see what it said above, mend "
                "that, and run the search again; what was done is kept"
            )


def refuse(missing: Sequence[Missing]) -> BadInputError:
    """The sentence for a search that cannot begin."""
    whats = "; ".join(f"{part.what} ({part.why})" for part in missing)
    commands = " && ".join(part.command for part in missing)
    return BadInputError(f"missing: {whats}: add --auto to make it, or run {commands}")


def require_task(saved: "Saved", asked: Asked) -> None:
    """Raise BadInputError if the supernet was trained on another task, or is none."""
    if saved.rule is None:
        raise BadInputError(
            f"{saved.folder} is no supernet: name one that `nas train supernet` made"
        )
    try:
        trained = json.loads((saved.folder / "train.json").read_text("utf-8")).get("task")
    except (OSError, ValueError, AttributeError):
        return  # its head tells
    if isinstance(trained, str) and trained != asked.task and not Path(asked.task).exists():
        raise BadInputError(
            f"{saved.folder} was trained on {trained}, not on {asked.task}: name another "
            "--supernet, or another --task"
        )


def space_of(saved: "Saved", asked: Asked) -> "SearchSpace":
    """The sub-models among which is searched, with the tables of the supernet.

    Raises:
        BadInputError: nobody knows which they are, or one is not in the supernet.
    """
    from dataclasses import replace

    from nas.space import load_space

    space = load_space(asked.space) if asked.space is not None else saved.space
    if space is None:
        raise BadInputError(f"{saved.folder} says nothing of its search space: name a --space")
    whole = saved.architecture
    largest = space.largest
    if largest.hidden > whole.hidden or largest.depth > whole.depth:
        raise BadInputError(
            f"the space {space.name} has {largest} and the supernet is {whole}: name a smaller "
            "--space"
        )
    return replace(space, vocab=whole.vocab, positions=whole.positions, types=whole.types)
