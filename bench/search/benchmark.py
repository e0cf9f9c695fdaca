"""A supernet's sub-models in a table, so that searches are played in seconds. Scores nothing.

The table that ships has sub-models of one supernet of the space `minilm` (MiniLM, distilled on
trec6), their accuracies on its dev split in float32 and `ptq`, with the weights that they inherit,
and the measured latencies of both; where from, its metadata say (`Benchmark.provenance`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import as_file, files
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.columns import SizeColumns
from nas.pareto import hypervolume, trace
from nas.search.searcher import Floats, Ground, Trial
from nas.search.searchers import searcher
from nas.space import SearchSpace, load_space
from results.architecture import Architecture
from results.errors import BadInputError

SHIPPED = "minilm-trec6.parquet"
PRECISIONS = ("fp32", "ptq")
SIZES = ("depth", "hidden", "heads", "qkv", "ffn")
PROVENANCE = b"subbert"
"""Key of the metadata that say where the table is from."""

BATCH = 4
"""Members that are scored before a searcher is told, as by a few workers side by side."""

Key = tuple[int, ...]


class Played(NamedTuple):
    """A search on the table, in the order of its proposals."""

    costs: Floats
    """(evaluations,), milliseconds."""
    scores: Floats
    """(evaluations,), shares of right answers."""


class TableCost:
    """Latencies of a table, in milliseconds; infinite for what is not in it."""

    def __init__(self, keys: Sequence[Key], ms: Floats) -> None:
        self._ms = dict(zip(keys, ms.tolist(), strict=True))

    def of(self, architectures: Sequence[Architecture]) -> Floats:
        return self._found([_key(a) for a in architectures])

    def of_sizes(self, sizes: SizeColumns) -> Floats:
        columns = [getattr(sizes, name).tolist() for name in SIZES]
        return self._found(list(zip(*columns, strict=True)))

    def _found(self, keys: Sequence[Key]) -> Floats:
        return np.array(list(map(self._ms.get, keys, repeat(np.inf))), np.float64)


@dataclass(frozen=True)
class Benchmark:
    """Sub-models whose scores and latencies are known in one precision."""

    space: SearchSpace
    precision: str
    sizes: NDArray[np.int64]
    """(n, 5): depth, hidden, heads, qkv, ffn."""
    scores: Floats
    """(n,), shares of right answers."""
    costs: Floats
    """(n,), milliseconds."""
    provenance: dict[str, str]

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def reference(self) -> tuple[float, float]:
        """The latency of the slowest and the score of the worst: the corner of the hypervolume.

        Whatever any search may find is then worth something, and nothing more than it is here.
        """
        return float(self.costs.max()), float(self.scores.min())

    @cached_property
    def hypervolume(self) -> float:
        """Of the true front."""
        return hypervolume(self.costs, self.scores, self.reference)

    @cached_property
    def ground(self) -> Ground:
        """The whole front is wanted, of the members that are in the table."""
        return Ground(self.space, TableCost(list(self._known), self.costs))

    @cached_property
    def _known(self) -> dict[Key, float]:
        rows = map(tuple, self.sizes.tolist())
        return dict(zip(rows, self.scores.tolist(), strict=True))

    def play(self, name: str, seed: int, evaluations: int, batch: int = BATCH) -> Played:
        """What a searcher proposes, told `batch` scores at a time."""
        one = searcher(name, self.ground, seed)
        found: list[Trial] = []
        while len(found) < evaluations:
            proposed = one.ask(min(batch, evaluations - len(found)))
            if not proposed:
                break
            costs = self.ground.cost.of(proposed)
            told = [
                Trial(a, self._known[_key(a)], float(cost))
                for a, cost in zip(proposed, costs, strict=True)
            ]
            one.tell(told)
            found += told
        return Played(np.array([t.cost for t in found]), np.array([t.score for t in found]))

    def reached(self, played: Played) -> Floats:
        """(evaluations,): the part of the true hypervolume that is reached after each."""
        return trace(played.costs, played.scores, self.reference) / self.hypervolume


def load(precision: str, path: Path | None = None) -> Benchmark:
    """The table that ships, or another of the same form.

    Raises:
        BadInputError: no such precision, or the file is no such table.
    """
    if precision not in PRECISIONS:
        known = " or ".join(PRECISIONS)
        raise BadInputError(f"the table has no precision {precision!r}: choose {known}")
    if path is not None:
        return _read(path, precision)
    with as_file(files("bench.search").joinpath("tables", SHIPPED)) as shipped:
        return _read(shipped, precision)


def _read(path: Path, precision: str) -> Benchmark:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = [*SIZES, f"accuracy_{precision}", f"ms_{precision}"]
    try:
        table = pq.read_table(path, columns=wanted)
        provenance = json.loads((table.schema.metadata or {})[PROVENANCE])
        table = table.select(wanted).drop_null()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:120]
        raise BadInputError(f"{path} is no table of a supernet's sub-models ({reason})") from None
    if not len(table):
        raise BadInputError(f"{path} has no sub-model in {precision}")
    sizes = np.stack([table[name].to_numpy() for name in SIZES], 1).astype(np.int64)
    scores, costs = (table[name].to_numpy().astype(np.float64) for name in wanted[len(SIZES) :])
    space = load_space(provenance["space"])
    return Benchmark(space, precision, sizes, scores, costs, provenance)


def _key(a: Architecture) -> Key:
    first = a.layers[0]
    return a.depth, a.hidden, first.heads, first.qkv, first.ffn
