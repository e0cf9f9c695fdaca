"""All precisions of one network in turn: a fresh process that `test_quantisers.py` starts.

`python -m tests.benchmarks.quantisers CPU`, with a question as JSON on standard input: the Hugging
Face `folder`, the file to `answer` in, the number of `visits`, whether to add what is `compiled`,
and, if not all, the `names` wanted. A visit is one call that is thrown away and three that are
timed, of which the fastest counts; visits are taken in a new random order each round.
"""

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.cpus import pin

if TYPE_CHECKING:
    from tests.benchmarks.others_int8 import Others

Run = Callable[[], object]
CALLS = 3
TOKENS = 128

OURS = {
    "torch": ("fp32", "int8-dynamic"),
    "onnxruntime": ("fp32", "int8-dynamic", "int8-static", "ptq"),
    "openvino": ("fp32", "bf16", "int8-static", "ptq", "ptq-bf16"),
    "torchao": ("int8-dynamic",),
    "onednn": ("ptq",),
}
"""Our schemes on each runtime that this version has."""


class Contender(NamedTuple):
    """An engine and a precision, who made it so, and how to get a call of it."""

    engine: str
    name: str
    kind: str
    """`fp32`, `bf16`, `theirs` (int8 made by others) or `ours`."""
    make: Callable[[], Run]


def main() -> None:
    """Answer one question."""
    pin([int(sys.argv[1])])
    asked = json.load(sys.stdin)
    with TemporaryDirectory() as scratch:
        built, failures = _built(asked, Path(scratch))
    taken = _in_turn([run for _, run in built], asked["visits"])
    rows = [
        {"engine": c.engine, "name": c.name, "kind": c.kind, "visits_ms": visits}
        for (c, _), visits in zip(built, taken, strict=True)
    ]
    answer = {"rows": rows, "failures": failures}
    Path(asked["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _built(
    asked: dict[str, Any], scratch: Path
) -> tuple[list[tuple[Contender, Run]], dict[str, str]]:
    """What could be built, and why the rest could not."""
    from nas.checkpoint import architecture_of
    from profiler.runtimes.runtime import random_inputs
    from results.measurement import Workload
    from tests.benchmarks.others_int8 import Others

    folder = Path(asked["folder"])
    architecture = architecture_of(folder)
    inputs = random_inputs(Workload(tokens=TOKENS), architecture.vocab, 0)
    others = Others(folder, scratch, inputs)
    found: list[tuple[Contender, Run]] = []
    failures: dict[str, str] = {}
    for contender in [*ours(folder, inputs), *theirs(others, compiled=asked["compiled"])]:
        name = f"{contender.engine} {contender.name}"
        if asked["names"] and name not in asked["names"]:
            continue
        try:
            run = contender.make()
            _require_hidden(run(), (1, TOKENS, architecture.hidden))
        except Exception as error:  # noqa: BLE001 - a tool that fails costs its own rows only
            failures[name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        else:
            found.append((contender, run))
    return found, failures


def _require_hidden(found: Any, shape: tuple[int, ...]) -> None:
    if tuple(found.shape) != shape:
        raise ValueError(f"gives {tuple(found.shape)}, not {shape}")


def ours(folder: Path, inputs: Any) -> Iterator[Contender]:
    """Built and loaded as `bench profile` does it."""
    from bench.subjects import Source, build
    from nas.checkpoint import architecture_of
    from profiler.runtimes.runtime import MODULES, load_runtime

    architecture, source = architecture_of(folder), Source(str(folder))

    def make(engine: str, scheme: str) -> Run:
        runtime = load_runtime(engine)
        model = build(runtime.takes, architecture, scheme, source, 0, "")
        return runtime.prepare(model, inputs, 1, stable=True, cap="").run

    for engine, schemes in OURS.items():
        for scheme in schemes if engine in MODULES else ():
            kind = scheme if scheme in ("fp32", "bf16") else "ours"
            yield Contender(engine, scheme, kind, lambda e=engine, s=scheme: make(e, s))


def theirs(o: "Others", *, compiled: bool) -> Iterator[Contender]:
    """Floats of others, and every int8 that they make."""
    yield from _of_torch(o, compiled=compiled)
    yield from _of_onnxruntime(o)
    yield from _of_openvino(o)


def _of_torch(o: "Others", *, compiled: bool) -> Iterator[Contender]:
    from torch import compile as compiled_by_torch

    from tests.benchmarks.others_int8 import torch_ao, torchao_eager

    def row(name: str, kind: str, make: Callable[[], Run]) -> Contender:
        return Contender("torch", name, kind, make)

    yield row("transformers fp32", "fp32", lambda: o.torch(lambda m: m))
    yield row("transformers bf16", "bf16", lambda: o.torch(lambda m: m.bfloat16()))
    yield row("torch.ao dynamic", "theirs", lambda: o.torch(torch_ao))
    yield row("torchao dynamic", "theirs", lambda: o.torch(torchao_eager))
    if compiled:
        yield row(
            "torchao dynamic, compiled",
            "theirs",
            lambda: o.torch(lambda m: compiled_by_torch(torchao_eager(m))),
        )
        yield row("torchao PT2E static, compiled", "theirs", lambda: o.pt2e(dynamic=False))
        yield row("torchao PT2E dynamic, compiled", "theirs", lambda: o.pt2e(dynamic=True))


def _of_onnxruntime(o: "Others") -> Iterator[Contender]:
    from onnxruntime.quantization import QuantFormat

    def row(name: str, make: Callable[[], Path], kind: str = "theirs") -> Contender:
        return Contender("onnxruntime", name, kind, lambda: o.onnxruntime(make()))

    operators = QuantFormat.QOperator
    yield row("export fp32", lambda: o.exported, "fp32")
    yield row("export, fused fp32", lambda: o.fused, "fp32")
    yield row("quantize_dynamic", lambda: o.dynamic(o.exported))
    yield row("quantize_dynamic per channel", lambda: o.dynamic(o.exported, per_channel=True))
    yield row("quantize_dynamic, fused", lambda: o.dynamic(o.fused))
    yield row("quantize_dynamic per channel, fused", lambda: o.dynamic(o.fused, per_channel=True))
    yield row("quantize_static", lambda: o.static_export)
    yield row("quantize_static as operators", lambda: o.static(o.exported, operators))
    yield row("quantize_static, fused", lambda: o.static(o.fused))
    yield row("optimum avx512_vnni", lambda: o.optimum(per_channel=False))
    yield row("optimum avx512_vnni per channel", lambda: o.optimum(per_channel=True))


def _of_openvino(o: "Others") -> Iterator[Contender]:
    def row(name: str, make: Callable[[], Any], hint: str, kind: str = "theirs") -> Contender:
        return Contender("openvino", name, kind, lambda: o.openvino(make(), hint))

    yield row("export fp32", lambda: o.exported, "f32", "fp32")
    yield row("export bf16", lambda: o.exported, "bf16", "bf16")
    yield row("NNCF weights only", lambda: o.nncf_weights, "f32")
    for hint, rest in (("f32", ""), ("bf16", ", rest bf16")):
        yield row(f"NNCF{rest}", lambda: o.nncf_default, hint)
        yield row(f"NNCF performance{rest}", lambda: o.nncf_performance, hint)
        yield row(f"onnxruntime's quantize_static{rest}", lambda: o.static_export, hint)


def _in_turn(runs: list[Run], visits: int) -> list[list[float]]:
    """CPU milliseconds of each visit of each."""
    taken: list[list[float]] = [[] for _ in runs]
    order = list(range(len(runs)))
    shuffle = random.Random(0).shuffle
    gc.collect()
    gc.freeze()
    for _ in range(visits):
        shuffle(order)
        for index in order:
            taken[index].append(_visit(runs[index]))
    return taken


def _visit(run: Run) -> float:
    run()
    least = float("inf")
    for _ in range(CALLS):
        began = time.process_time_ns()
        run()
        least = min(least, (time.process_time_ns() - began) / 1e6)
    return least


if __name__ == "__main__":
    main()
