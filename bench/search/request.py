"""What a person asked `nas search` for, checked as far as text goes. Reads no file."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from bench.search.limits import Wanted
from nas.data.columns import Columns
from nas.search.searchers import DEFAULT
from quant.scheme import parse
from results.choice import Limit
from results.errors import BadInputError
from results.searches import searches_of

MIXED = "mixed"
"""In place of a scheme: each group of matrix products in float32 or as in ptq."""

TASK_TOKENS = "task"
"""In place of a number of tokens: those of the task's own texts."""

EVALUATIONS, REFINEMENTS, WINNERS, PROBE = 200, 60, 3, 24
LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.5, 0.99


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried."""

    evaluations: int = EVALUATIONS
    """Sub-models scored in full precision."""
    refinements: int = REFINEMENTS
    """Sub-models scored in the scheme that is searched for."""
    winners: int = WINNERS
    """Verified models wanted."""
    probe: int = PROBE
    """Networks near the budget that are measured before the search, to narrow the bounds."""

    def __post_init__(self) -> None:
        if self.refinements < self.winners:
            raise BadInputError(
                f"--refinements {self.refinements} are fewer than --winners {self.winners}: "
                "score at least as many as you want"
            )


@dataclass(frozen=True, slots=True)
class Asked:
    """The whole request."""

    task: str
    wanted: Wanted
    limits: tuple[Limit, ...]
    quant: str = "ptq"
    runtime: str = "onnxruntime"
    tokens: str | None = None
    confidence: float = 0.9
    searcher: str = DEFAULT
    seed: int = 0
    effort: Effort = field(default_factory=Effort)
    space: str | None = None
    supernet: Path | None = None
    teacher: Path | None = None
    model: str = "minilm"
    """What a teacher begins with."""
    results: Path = Path("results/data")
    devices: Path | None = None
    name: str | None = None
    folder: Path | None = None
    """Of the files of GLUE or SQuAD."""
    columns: Columns = field(default_factory=Columns)
    auto: bool | None = None
    workers: int | None = None
    ray: str | None = None
    calibration: int = 128
    """Examples of the train split that ranges are observed on."""

    def __post_init__(self) -> None:
        if not LEAST_CONFIDENCE <= self.confidence <= MOST_CONFIDENCE:
            raise BadInputError(
                f"--confidence {self.confidence:g} is out of range: give a number from "
                f"{LEAST_CONFIDENCE} to {MOST_CONFIDENCE}"
            )
        if self.quant != MIXED and parse(self.quant).rest != "fp32":
            raise BadInputError(
                f"--quant {self.quant}: a file says nothing of bfloat16, which a runtime chooses "
                "when it loads: leave -bf16 out"
            )
        if self.fixed_tokens is None and self.tokens not in (None, TASK_TOKENS):
            raise BadInputError(f"--tokens {self.tokens}: give a number of tokens, or `task`")

    @property
    def scheme(self) -> str:
        """That the search begins with: of a mixture the one that is fastest."""
        return "ptq" if self.quant == MIXED else parse(self.quant).name

    @property
    def fixed_tokens(self) -> int | None:
        """The length of text that was asked for, where it was a number."""
        given = self.tokens or ""
        return int(given) if given.isdecimal() and 1 <= int(given) <= 65536 else None  # noqa: PLR2004

    @property
    def models(self) -> Path:
        """Where teacher and supernet of the task are, unless they are named."""
        return self.results.parent / "models" / _slug(self.task)

    @property
    def run_folder(self) -> Path:
        """Of this search."""
        return searches_of(self.results) / (self.name or self._usual_name)

    @property
    def _usual_name(self) -> str:
        budgets = []
        for limit in self.limits:
            unit = "ms" * (limit.kind == "latency" and limit.asked.strip()[-1].isdigit())
            kind = f"-{limit.kind}" * (limit.kind != "latency")
            budgets.append(limit.asked + unit + kind)
        tokens = [] if self.tokens is None else [f"{self.tokens}-tokens"]
        unusual = [
            *([] if self.space is None else [Path(self.space).stem]),
            *([] if self.searcher == DEFAULT else [self.searcher]),
            *([] if not self.seed else [f"seed-{self.seed}"]),
        ]
        parts = [self.task, *self.wanted.devices, self.quant, *budgets, *tokens, *unusual]
        return _slug("-".join(dict.fromkeys(parts)))

    @property
    def task_options(self) -> list[str]:
        """That name the task on the command line of `nas`."""
        found = ["--task", self.task]
        given = {"folder": self.folder, "text-column": self.columns.text,
                 "pair-column": self.columns.pair, "label-column": self.columns.label}  # fmt: skip
        for name, value in given.items():
            found += [] if value is None else [f"--{name}", str(value)]
        return found


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "search"
