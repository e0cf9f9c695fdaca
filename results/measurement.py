"""One row of the ledger: what was run, how, and every sample. Knows no statistics."""

from dataclasses import dataclass, field

from results.architecture import Architecture


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """What the encoder was asked to do, and with how many threads."""

    batch: int = 1
    tokens: int = 128
    threads: int = 1

    def __post_init__(self) -> None:
        for name, largest in (("batch", 4096), ("tokens", 65536), ("threads", 1024)):
            value = getattr(self, name)
            if not 1 <= value <= largest:
                message = f"{name} must be from 1 to {largest}, not {value}"
                raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a network, in a numeric scheme, on a runtime.

    `source` is empty for random weights, else the file the weights came from, as
    `name@sha256:<first 16 digits>`. `architecture` is unknown only for a foreign ONNX file.
    """

    architecture: Architecture | None
    scheme: str
    runtime: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Procedure:
    """How we looked. Kept with the samples, so that two rows can be compared.

    The intervals are relative half-widths (0.02 = 2 %); see `docs/measurement.md` for the reasons.
    """

    profile: str = "stable"
    """`stable`: allocator, spinning and affinity controlled; `deployed`: environment untouched."""
    target_error: float = 0.03
    """Stop when the label's 95 % interval is this narrow. 3 % is a retest difference of 1.3 %."""
    noisy_error: float = 0.06
    """Above this the row is flagged and measured again."""
    least_rounds: int = 6
    """Six visits are the fewest whose extremes enclose the median with 95 % (binomial)."""
    most_rounds: int = 23
    most_seconds: float = 10.0
    """Longest time one subject may take in one process."""
    processes: int = 1
    """Fresh worker processes a row is measured in."""

    def __post_init__(self) -> None:
        if self.profile not in ("stable", "deployed"):
            message = f"profile must be 'stable' or 'deployed', not {self.profile!r}"
            raise ValueError(message)
        if not 0 < self.target_error <= self.noisy_error < 1:
            raise ValueError("0 < target_error <= noisy_error < 1 must hold")
        if not 1 <= self.least_rounds <= self.most_rounds:
            raise ValueError("1 <= least_rounds <= most_rounds must hold")
        if self.processes < 1 or self.most_seconds <= 0:
            raise ValueError("processes and most_seconds must be positive")


@dataclass(frozen=True, slots=True)
class Contention:
    """What else the machine did while a block of samples was taken."""

    seconds: float
    steal_ticks: int | None = None
    """Ticks in which the hypervisor ran somebody else."""
    pressure_us: int | None = None
    """Microseconds in which some runnable task waited for a CPU (PSI)."""
    load1: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """The timed calls of one model in one process, in the order they were made, visit by visit.

    A visit is a few calls in a row: the first ones only bring the model back into the caches,
    the rest are samples. Sample i of every column belongs to the same call. A column other than
    `wall_ns` is empty where nobody knows it: of an imported row, say.
    """

    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    """CPU time of the whole process (all its threads) during the call."""
    switches: tuple[int, ...]
    """Involuntary context switches of the process during the call."""
    faults: tuple[int, ...]
    """Minor and major page faults of the process during the call."""
    visits: tuple[int, ...]
    """How many samples each visit gave; their sum is the number of samples."""
    first_cpu_ns: tuple[int, ...] = ()
    """The first call of each visit, which is no sample: other models have used the caches."""

    def __post_init__(self) -> None:
        length = len(self.wall_ns)
        if not length:
            raise ValueError("a series needs at least one sample")
        for name in ("cpu_ns", "switches", "faults"):
            if len(getattr(self, name)) not in (0, length):
                message = f"{name} has {len(getattr(self, name))} samples, wall_ns has {length}"
                raise ValueError(message)
        for name in ("wall_ns", "cpu_ns"):
            if min(getattr(self, name), default=1) < 1:
                message = (
                    f"{name} has a sample of {min(getattr(self, name))} ns; none is that short"
                )
                raise ValueError(message)
        if min(self.visits, default=0) < 1 or sum(self.visits) != length:
            message = f"visits {self.visits} do not add up to {length} samples"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Run:
    """One subject in one worker process, and the anchor visited beside it in every round.

    The anchor is a frozen encoder of the same runtime and scheme; visit i of the anchor belongs
    to visit i of the subject.
    """

    subject: Series
    anchor: Series | None = None
    anchor_name: str = ""
    """The anchor's architecture, as `str(architecture)`."""
    warmup_calls: int = 0
    steady: bool | None = True
    """Did CPU time settle before the first sample? None where nobody knows."""
    pid: int = 0
    cpus: tuple[int, ...] = ()
    """The CPUs the process was allowed on."""
    contention: Contention | None = None
    stopped_by: str = "most_rounds"
    """`target_error`, `most_rounds` or `most_seconds`: which rule ended the sampling. Empty where
    nobody knows."""

    def __post_init__(self) -> None:
        if self.anchor is not None and len(self.anchor.visits) != len(self.subject.visits):
            raise ValueError("subject and anchor must have been visited equally often")


@dataclass(frozen=True, slots=True)
class Cold:
    """What happens once: building the model, loading it into the runtime, the first call."""

    build_ns: int
    load_ns: int
    first_ns: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """Every sample is kept: a statistic can be computed again, a sample cannot.

    `cold`, `seed`, `model_bytes` and `peak_rss_bytes` are None only where nobody knows them any
    more, in rows that were imported.
    """

    id: str
    session: str
    device: str
    subject: Subject
    workload: Workload
    procedure: Procedure
    runs: tuple[Run, ...]
    cold: Cold | None
    seed: int | None
    """Of the token ids and the random weights."""
    model_bytes: int | None
    """Serialised weights of the timed model, in bytes, as its runtime stores them."""
    peak_rss_bytes: int | None
    """Largest resident memory of the worker up to the end of this row."""
    isa: str = ""
    """The instruction set the runtime reported to be using, where it reports one."""
    origin: str = "profile"
    """`profile`, or the name of the foreign format the row was imported from."""
    flags: tuple[str, ...] = ()
    """Why the row is noisy; empty when it is not."""
    supersedes: str = ""
    """Id of an earlier, noisy row of the same subject that this one replaces."""
    measured_utc: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("a measurement needs at least one run")

    @property
    def noisy(self) -> bool:
        """Was the row flagged when it was taken?"""
        return bool(self.flags)
