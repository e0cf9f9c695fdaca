"""A search that ended, small enough for a test: supernet, teacher, table, one winner."""

from dataclasses import dataclass
from pathlib import Path

from nas.data import tasks
from nas.elastic import Rule
from nas.extract.calibration import of_scorer
from nas.extract.extraction import Wish, extract
from nas.extract.folder import origin_of
from nas.extract.names import file_of
from nas.folder import read, write
from nas.network import Head, Network
from nas.score.content import file_digest
from nas.score.scorer import Options, Scorer
from quant.scheme import parse
from results.architecture import Architecture, Layer
from results.choice import Limit, Measured, Outcome, Predicted, Search, Winner
from results.searches import Run
from tests.made_training import KEYS, SIZES, made_table, made_teacher

SUB = Architecture(12, (Layer(1, 8, 16),), vocab=SIZES.vocab, positions=32, types=2)
CALIBRATION = 24
LIMITS = (
    Limit(kind="latency", value=1000.0, device="cpu-any", asked="1s", tokens=8),
    Limit(kind="size", value=5.0, asked="5MB"),
)


@dataclass(frozen=True)
class World:
    """Where everything is."""

    root: Path

    @property
    def run(self) -> Run:
        return Run(self.root / "results/searches/made")

    @property
    def ledger(self) -> Path:
        return self.root / "results/data"

    @property
    def supernet(self) -> Path:
        return self.root / "supernet"

    @property
    def teacher(self) -> Path:
        return self.root / "teacher"


def made_winner(root: Path, *, scheme: str = "ptq", limits: tuple[Limit, ...] = LIMITS) -> World:
    """Latencies are made up; the winner's file is what `nas extract` makes of its sizes."""
    world = World(root)
    made_teacher(world.teacher)
    labels = tuple(sorted(KEYS))
    network = Network(SIZES, Head("classes", len(labels)), read(world.teacher).weights)
    write(network, world.supernet, tokenizer=world.teacher, labels=labels, rule=Rule())
    table = made_table(root / "table.csv", 240)
    saved, task = read(world.supernet), tasks.load(str(table), say=lambda _: None)
    options = Options(seed=3, calibration=CALIBRATION, threads=1)
    world.run.folder.mkdir(parents=True)
    with Scorer(saved, task, options=options) as scorer:
        text, source = of_scorer(scorer), scorer.source
        full, ours = (scorer.score([SUB], name)[0].metrics for name in ("fp32", scheme))
    folder = world.run.folder / "models/one"
    extract(saved, origin_of(world.supernet), SUB, folder, Wish((parse(scheme),), text))
    file = folder / file_of(scheme)
    winner = Winner(
        rank=1,
        architecture=SUB,
        scheme=scheme,
        metrics=ours,
        full_metrics=full,
        predicted=(_predicted(),),
        measured=(_measured(),),
        megabytes=file.stat().st_size / 1e6,
        memory_megabytes=None,
        folder="models/one",
        file=file_of(scheme),
        sha256=file_digest(file),
    )
    world.run.begin(_search(world, table, source, scheme, limits))
    world.run.end(Outcome(winners=(winner,)))
    return world


def _search(
    world: World, table: Path, source: str, scheme: str, limits: tuple[Limit, ...]
) -> Search:
    return Search(
        name="made", task=str(table), scheme=scheme, searcher="random", seed=3, limits=limits,
        confidence=0.9, runtime="onnxruntime", space="tiny", supernet=source,
        supernet_folder=str(world.supernet), teacher_folder=str(world.teacher),
        cards={"cpu-any": "0" * 64}, fingerprints={}, examples=24, split="dev", evaluations=9,
        options={"calibration": str(CALIBRATION)},
    )  # fmt: skip


def _predicted() -> Predicted:
    return Predicted(
        device="cpu-any", runtime="onnxruntime", tokens=8, ms=0.1, lower=0.08, upper=0.12,
        confidence=0.9,
    )  # fmt: skip


def _measured() -> Measured:
    return Measured(
        device="cpu-any", runtime="onnxruntime", tokens=8, ms=0.1, lower=0.09, upper=0.11, rows=()
    )
