"""From a winner of a search to a folder that can be given away. Prints nothing.

Inherited weights go on learning, both are quantised and judged on the dev split, the better one
ships: it is measured against the budget, and read once on the test split.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.search import ship_costs, ship_steps
from bench.search.model_card import Card, Made, card_of
from bench.search.model_card_folder import CARD, read_key, write
from bench.search.ship_costs import Place
from bench.search.ship_steps import Candidate, Lessons, Say
from bench.watch import Watch
from nas.data.columns import Columns
from nas.data.task import DEV, TEST, Task
from nas.extract.found import Found, found
from results.errors import BadInputError
from results.score import Score
from results.searches import Run
from results.store import Ledger

WORK, SHIPPED = "ship", "shipped"


@dataclass(frozen=True, slots=True)
class Asked:
    """The whole request."""

    search: Path
    """Folder of the search."""
    winner: int = 1
    output: Path | None = None
    training: bool = True
    teacher: Path | None = None
    """Another than the search's."""
    trust: float = 0.5
    recipe: tuple[str, ...] = ()
    """Options of `nas train further`, a name before each value."""
    threads: int | None = None
    """Of the training."""
    results: Path | None = None
    """Folder of the ledger; the one beside the search where None."""
    devices: Path | None = None
    only: tuple[str, ...] = ()
    """Devices to measure on; all of the search's where none is named."""
    ray: str | None = None
    """Address of a Ray cluster whose nodes measure; this host does where None."""
    folder: Path | None = None
    columns: Columns = field(default_factory=Columns)

    @property
    def ledger(self) -> Path:
        """Folder of the ledger."""
        return self.results or self.search.parent.parent / "data"

    def work(self, winner: Found) -> Path:
        """Where everything is kept while it is made; another winner has another folder."""
        return self.search / WORK / f"{self.winner}-{winner.winner.sha256[:8]}"

    @property
    def target(self) -> Path:
        """The folder to be given away."""
        return self.output or self.search / SHIPPED / str(self.winner)


@dataclass(frozen=True, slots=True)
class Shipped:
    """What came of it."""

    card: Card
    broken: tuple[str, ...]
    """Limits that the measured file breaks; nothing was put into `folder` if there are any."""
    folder: Path


def ship(asked: Asked, say: Say, watch: Callable[[], Watch] | None = None) -> Shipped:
    """Make a winner ready to be given away, or go on with it.

    Raises:
        BadInputError: there is no such winner, its supernet is gone, nobody is the device,
            something else is at the target, or a step failed.
    """
    winner = found(asked.search, asked.winner)
    seen = None if watch is None else watch()
    place = Place(asked.ledger, asked.devices, seen, asked.only, asked.ray)
    ship_costs.require_devices(ship_costs.hows(winner, place), asked.ray)
    _require_free(asked, winner)
    lessons = _lessons(asked, winner) if asked.training else None
    with Run(asked.work(winner)).locked():
        return _shipped(asked, winner, lessons, place, say)


def _shipped(
    asked: Asked, winner: Found, lessons: Lessons | None, place: Place, say: Say
) -> Shipped:
    task = winner.task(say, asked.folder, asked.columns)
    candidates = _candidates(asked, winner, task, lessons, say)
    scheme = winner.winner.scheme
    best = ship_steps.better(candidates, scheme)
    say(_told(candidates, best, scheme))
    file = ship_steps.file_in(best.folder, scheme)
    costs = ship_costs.costs(winner, file, winner.winner.architecture, place)
    accuracy = best.worth(scheme)[0]
    broken = tuple(ship_costs.broken(winner.search.limits, costs, accuracy))
    test = {} if broken else _test(asked, winner, task, best)
    made = Made(winner, task, candidates, best, test, _tested(asked.ledger, test), costs, lessons)
    card = card_of(made)
    if not broken:
        write(asked.target, made, card)
    return Shipped(card, broken, best.folder if broken else asked.target)


def _candidates(
    asked: Asked, winner: Found, task: Task, lessons: Lessons | None, say: Say
) -> list[Candidate]:
    text = winner.text(task)

    def candidate(name: str, folder: Path) -> Candidate:
        schemes = [winner.winner.scheme]
        dev = ship_steps.scores(folder, task, DEV, schemes, asked.ledger, winner.options)
        return Candidate(name, folder, dev)

    work = asked.work(winner)
    inherited = ship_steps.extracted(winner, None, work / ship_steps.INHERITED, text)
    found_ = [candidate(ship_steps.INHERITED, inherited)]
    if lessons is not None:
        further = work / f"further-{lessons.digest}"
        ship_steps.trained(inherited, lessons, further, say)
        folder = work / f"{ship_steps.TRAINED}-{lessons.digest}"
        ship_steps.extracted(winner, further, folder, text)
        found_.append(candidate(ship_steps.TRAINED, folder))
    return found_


def _test(asked: Asked, winner: Found, task: Task, best: Candidate) -> dict[str, Score]:
    """The one time that the test split is read; a later call takes it from the ledger."""
    if TEST not in task.splits:
        return {}
    schemes = [winner.winner.scheme]
    return ship_steps.scores(best.folder, task, TEST, schemes, asked.ledger, winner.options)


def _tested(ledger: Path, test: dict[str, Score]) -> int:
    """Models whose answers to the same examples the ledger has."""
    digests = {score.split_digest for score in test.values()}
    scores = [score for _, score in Ledger(ledger).scores() if score.split_digest in digests]
    return len({(score.source, score.architecture) for score in scores})


def _told(candidates: list[Candidate], best: Candidate, scheme: str) -> str:
    metric = next(iter(best.dev[scheme].metrics))
    each = [
        f"{one.name} " + " and ".join(f"{one.dev[x].metrics[metric]:.4f} in {x}" for x in one.dev)
        for one in candidates
    ]
    ships = f"; the {best.name} weights ship" if len(candidates) > 1 else ""
    return f"{metric} on the dev split: {', '.join(each)}{ships}"


def _lessons(asked: Asked, winner: Found) -> Lessons:
    teacher = asked.teacher or Path(winner.search.teacher_folder)
    if not (teacher / "model.safetensors").is_file():
        raise BadInputError(
            f"there is no teacher in {teacher}: name one with --teacher, or ship the inherited "
            "weights with --no-training"
        )
    search = winner.search
    given = {
        "task": search.task,
        "folder": asked.folder or search.options.get("folder"),
        "text-column": search.options.get("text-column") or asked.columns.text,
        "pair-column": search.options.get("pair-column") or asked.columns.pair,
        "label-column": search.options.get("label-column") or asked.columns.label,
    }
    task = tuple(x for name, value in given.items() if value for x in (f"--{name}", str(value)))
    return Lessons(teacher, asked.trust, asked.recipe, task, asked.threads)


def _require_free(asked: Asked, winner: Found) -> None:
    """Only what was shipped of this very winner is replaced."""
    target = asked.target
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BadInputError(f"--output {target} is no folder: name another")
    ours = read_key(target / CARD) == (winner.search.name, asked.winner)
    if target.is_dir() and any(target.iterdir()) and not ours:
        raise BadInputError(
            f"--output {target} is there and holds something else: name another or remove it"
        )
