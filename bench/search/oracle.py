"""What members of a space cost, by prediction: parts of every limit. Measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.numerics import numerics_of
from predictors.columns import Columns
from predictors.intervals import Intervals
from quant import footprint
from quant.scheme import Scheme
from results.architecture import Architecture
from results.choice import Limit, Predicted
from results.measurement import Workload

if TYPE_CHECKING:
    from nas.columns import SizeColumns
    from predictors.calibrated import Calibrated, Forecast

Floats = NDArray[np.float64]

FAR = 1.5
"""By what factor a network may be outside the range of the rows; beyond it is not considered."""

SIZES = ("depth", "hidden", "heads", "qkv", "ffn")


@dataclass(frozen=True, slots=True)
class Correction:
    """What measuring near the budget taught: a factor, and errors that are smaller there.

    The rows are networks of the space whose predicted latency is near the limit, drawn by chance,
    so that the k-th smallest of their errors bounds that of another (split conformal prediction,
    Vovk et al. 2005; the median that is taken out costs one of them).
    """

    shift: float = 0.0
    """Log of measured over predicted, their median."""
    errors: Intervals | None = None
    """Of what is left; None: those of the predictor."""

    @classmethod
    def of(cls, measured: Floats, predicted: Floats) -> "Correction":
        """From milliseconds, (n,) each."""
        ratios = np.log(measured / predicted)
        shift = float(np.median(ratios))
        return cls(shift, Intervals(np.sort(np.abs(ratios - shift))))


@dataclass(frozen=True, slots=True)
class Latency:
    """A latency that is limited: on a device, in a runtime, at a length of text."""

    limit: Limit
    runtime: str
    made: "Calibrated" = field(repr=False)
    workload: Workload
    confidence: float
    correction: Correction = Correction()

    def of(self, columns: Columns) -> "Forecast":
        """Milliseconds with bounds, corrected by what was measured near the limit."""
        from predictors.calibrated import Forecast

        found = self.made.forecast(columns, self.confidence)
        ms = found.ms * np.exp(self.correction.shift)
        if self.correction.errors is None:
            ratio = found.upper / found.ms
            return Forecast(ms, ms / ratio, ms * ratio, found.beyond)
        wider = np.maximum(found.beyond / FAR, 1.0)
        lower, upper = self.correction.errors.bounds(ms, wider, self.confidence)
        return Forecast(ms, lower, upper, found.beyond)

    def numbers(self, architecture: Architecture, scheme: Scheme) -> Predicted:
        """Of one network."""
        columns = Columns.of([architecture], [self.workload], numerics_of(scheme.name))
        found = self.of(columns)
        return Predicted(
            device=self.limit.device,
            runtime=self.runtime,
            tokens=self.workload.tokens,
            ms=float(found.ms[0]),
            lower=float(found.lower[0]),
            upper=float(found.upper[0]),
            confidence=self.confidence,
        )


@dataclass(frozen=True, slots=True)
class Oracle:
    """The largest part that a network uses of a limit; above 1 it breaks one."""

    scheme: Scheme
    latencies: tuple[Latency, ...]
    megabytes: float = np.inf
    """Limit of size and of memory: weights alone must not be larger."""
    tables: tuple[int, int, int] = (30522, 512, 2)
    """Words, positions and types of the supernet."""
    outputs: int = 0
    """Of the head, in float32 behind a pooler; 0: there is none."""

    def of(self, architectures: Sequence[Architecture]) -> Floats:
        """(n,)."""
        sizes = [self.weight_megabytes(a) for a in architectures]
        numerics = numerics_of(self.scheme.name)

        def columns(work: Workload) -> Columns:
            return Columns.of(architectures, [work] * len(architectures), numerics)

        return self._parts(np.array(sizes, np.float64), columns, len(architectures))

    def of_sizes(self, sizes: "SizeColumns") -> Floats:
        """(n,), of members whose layers are alike."""
        numerics = numerics_of(self.scheme.name)
        given = {name: getattr(sizes, name) for name in SIZES}
        weights = footprint.of_sizes(
            sizes.depth, sizes.hidden, sizes.qkv, sizes.ffn, self.tables, self.scheme
        )
        whole = (weights + self._head_bytes(sizes.hidden.astype(np.int64))) / 1e6

        def columns(work: Workload) -> Columns:
            return Columns.of_sizes(given, work, numerics)

        return self._parts(whole.astype(np.float64), columns, len(sizes))

    def predicted(self, architecture: Architecture) -> tuple[Predicted, ...]:
        """One for each latency."""
        return tuple(one.numbers(architecture, self.scheme) for one in self.latencies)

    def weight_megabytes(self, architecture: Architecture) -> float:
        """Of its weights, the head's among them."""
        encoder = footprint.of_architecture(architecture, self.scheme)
        return float(encoder + self._head_bytes(architecture.hidden)) / 1e6

    def _head_bytes(self, hidden: Any) -> Any:
        """Pooler and classifier are float32 in every scheme."""
        return 4 * (hidden + 1) * (hidden + self.outputs) if self.outputs else 0

    def in_scheme(self, scheme: Scheme) -> "Oracle":
        """The same limits in another scheme that the predictors know."""
        return replace(self, scheme=scheme)

    def corrected(self, corrections: Sequence[Correction]) -> "Oracle":
        """With one for each latency."""
        pairs = zip(self.latencies, corrections, strict=True)
        return replace(self, latencies=tuple(replace(x, correction=c) for x, c in pairs))

    def _parts(self, weights: Floats, columns: "ColumnsOf", n: int) -> Floats:
        worst = weights / self.megabytes if np.isfinite(self.megabytes) else np.zeros(n)
        for one in self.latencies:
            found = one.of(columns(one.workload))
            part = np.where(found.beyond <= FAR, found.upper / one.limit.value, np.inf)
            worst = np.maximum(worst, part)
        return np.asarray(worst, np.float64)


if TYPE_CHECKING:
    from collections.abc import Callable

    ColumnsOf = Callable[[Workload], Columns]
