"""`bench explain` as a person meets it; the long measurements are cut short."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from bench import explain_measure, explain_networks, roofline
from bench.explain import explain
from bench.explain_figures import Breakdown, Machine, Question, Rate, Widths
from bench.explain_request import Wanted, task_of
from bench.explain_tables import Explained
from bench.subjects import Source
from profiler import isolate, onnx_trace, peak, side_by_side, torch_trace
from profiler.cpus import allowed_cpus
from profiler.device import Host
from profiler.gemm import Shape, makers, quantiser
from profiler.isolate import Worker, stable_variables
from profiler.parts import GEMMS, OVERHEAD, PARTS
from profiler.timing import Pace
from results.architecture import Architecture, Layer
from results.environment import Hardware
from results.errors import BadInputError
from results.measurement import Workload
from tests.written_bert import ARCHITECTURES, lively

ROOT = Path(__file__).parent.parent
LAYER = '{"heads": 2, "qkv": 256, "ffn": 512}'
SMALL = f'{{"hidden": 256, "layers": [{LAYER}, {LAYER}], "vocab": 100}}'
HOST = Host(Hardware("x86_64", "a CPU", isa=("avx2", "fma")), (0,))


def test_a_fresh_worker_dissects_a_network_in_both_schemes() -> None:
    question = {
        "architecture": json.loads(SMALL) | {"layers": [json.loads(LAYER)] * 2},
        "source": {},
        "runtime": "onnxruntime",
        "scheme": "int8-dynamic",
        "workload": {"tokens": 64},
    }
    variables = stable_variables({"PYTHONPATH": str(ROOT)}, 1, {})
    with Worker("bench.explain_worker", variables, allowed_cpus()[-1:]) as worker:
        (answer,) = worker.ask({"stage": "parts", "question": question}, 60)

    found: Any = answer["found"]
    for scheme in ("fp32", "scheme"):
        assert min(found[scheme][f"{what}_ms"] for what in ("whole", "profiled", "fixed")) > 0
        assert found[scheme]["calls"] >= side_by_side.LEAST_ROUNDS
    operators = {(p["part"], p["operator"]) for p in found["scheme"]["pieces"]}
    assert ("ffn-in", "DynamicQuantizeMatMul") in operators
    assert {"256", "512"} == set(found["quantise_us"])


class Here:
    """In place of the worker: the same work in this process."""

    def __init__(self, *_: object) -> None: ...

    def ask(self, request: Mapping[str, object], _: float) -> Iterator[dict[str, object]]:
        said: list[dict[str, object]] = []
        explain_measure.serve(json.loads(json.dumps(request)), said.append)
        yield from said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "Worker", Here)
    for module in (side_by_side, explain_networks, onnx_trace, torch_trace):
        monkeypatch.setattr(module, "Pace", lambda: Pace(0, 0))
    monkeypatch.setattr(side_by_side, "LEAST_ROUNDS", 2)
    monkeypatch.setattr(side_by_side, "WARM_UP_NS", 0)
    monkeypatch.setattr(explain_measure, "ROUNDS", 3)
    monkeypatch.setattr(explain_measure, "LADDER", (32, 64))
    monkeypatch.setattr(explain_measure, "STEPS", (64, 72, 80))
    quick = partial(side_by_side.levels, rounds=2)
    monkeypatch.setattr(explain_measure, "levels", quick)
    monkeypatch.setattr(peak, "levels", quick)
    few = [Shape(16, 64, 64)]
    monkeypatch.setattr(explain_measure, "peaks", lambda e, n: peak.peaks(e, n, few))


def run(**options: object) -> None:
    given = {"arch": None, "model": None, "device": "cpu-any", "devices": None} | options
    whole = {"scheme": "int8-dynamic", "runtime": "onnxruntime", "tokens": 128} | given
    explain(**({"plot": None, "as_json": False} | whole))  # type: ignore[arg-type]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_json_holds_parts_that_add_up_rates_roofs_and_widths(
    runtime: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(arch=SMALL, runtime=runtime, as_json=True)

    found = json.loads(capsys.readouterr().out)
    for scheme in ("fp32", "int8-dynamic"):
        told = found[scheme]
        assert pytest.approx(told["whole_ms"]) == sum(told["parts_ms"].values())
        assert {*PARTS, OVERHEAD} == set(told["parts_ms"])
        assert {rate["group"] for rate in told["gemms"]} <= {*GEMMS, "attention"}
        assert 0 == told["parts_ms"]["other"]
    assert 0 == found["fp32"]["parts_ms"]["quantise"]
    assert 0 <= found["int8-dynamic"]["parts_ms"]["quantise"]  # of so small a network, maybe lost
    assert set(GEMMS) <= {rate["group"] for rate in found["fp32"]["gemms"]}
    assert {"fp32", "int8"} == set(found["peaks_gops"]) == set(found["bandwidths_gb_s"])
    assert 4 * found["weight_bytes"]["int8"] == found["weight_bytes"]["fp32"]
    assert [32, 64] == [rung["width"] for rung in found["ladder"]]
    assert 1 <= len(found["conclusion"]) <= 4
    assert 128 == found["workload"]["tokens"]


@pytest.mark.usefixtures("short")
def test_a_person_reads_tables_and_a_conclusion_and_gets_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nas.checkpoint import save
    from nas.encoder import Encoder

    a = Architecture(192, (Layer(4, 192, 768),) * 2, vocab=50, positions=24)  # no part is nothing
    save(Encoder(a, lively(a), pooler=False), tmp_path)

    run(model=tmp_path, plot=tmp_path / "roof.html", tokens=16)

    said = " ".join(capsys.readouterr().out.split())
    assert f"{tmp_path.name}@sha256:" in said
    assert "h192 2x(a4 q192 f768), 16 tokens" in said
    for word in ("GEMM q, k, v", "softmax and mask", "fixed overhead", "whole call", "pays"):
        assert word in said
    assert "int8-dynamic is" in said
    assert "other operators" not in said
    page = (tmp_path / "roof.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert not re.search(r"(src|href)=.?(https?:|//)", page)  # nothing is fetched


def test_next_to_nothing_is_as_deep_as_the_network_and_no_wider_than_it_must_be() -> None:
    asked = Question(
        Architecture.uniform(7, 384, 12, 384, 1536), Source("a"), "torch", "ptq", Workload(8, 64)
    )

    least = explain_networks.next_to_nothing(asked)

    assert 7 == least.architecture.depth
    assert 4 == least.architecture.hidden
    assert {(1, 4, 4)} == {(x.heads, x.qkv, x.ffn) for x in least.architecture.layers}
    assert (Workload(1, 1, 1), Source(), "ptq") == (least.workload, least.source, least.scheme)


def test_a_folder_is_explained_with_its_own_weights(tmp_path: Path) -> None:
    from nas.checkpoint import save
    from nas.encoder import Encoder

    a = ARCHITECTURES["plain"]
    save(Encoder(a, lively(a), pooler=False), tmp_path)

    task = task_of(Wanted(None, tmp_path, "cpu-any", None, "int8-dynamic", "torch", 16), HOST)

    assert a.layers == task.question.architecture.layers
    assert task.question.source.label.startswith(f"{tmp_path.name}@sha256:")
    assert str(tmp_path) == task.question.source.path


BAD = [
    ({}, "give a network: either --arch or --model"),
    ({"arch": SMALL, "model": Path()}, "either --arch or --model, and not both"),
    ({"arch": "missing.json"}, "missing.json is neither a file nor an architecture"),
    ({"arch": "{'hidden': 24"}, "hidden"),
    ({"arch": SMALL.replace('"qkv": 256', '"qkv": 257')}, "not divisible by 2 heads"),
    ({"arch": "two.txt"}, "holds 2 architectures"),
    ({"model": Path("model.onnx")}, "nobody told what the nodes of a foreign graph are for"),
    ({"model": Path("empty")}, "neither an .onnx file nor a Hugging Face folder"),
    ({"arch": SMALL, "device": "cpu-avx1024"}, "unknown device 'cpu-avx1024'"),
    ({"arch": SMALL, "device": "cuda"}, "this host cannot be cuda"),
    ({"arch": SMALL, "runtime": "tvm"}, "--runtime 'tvm' cannot be explained as cpu-any"),
    ({"arch": SMALL, "scheme": "int4"}, "unknown scheme 'int4'"),
    ({"arch": SMALL, "scheme": "fp32"}, "--scheme 'fp32' cannot be explained on onnxruntime"),
    ({"arch": SMALL, "scheme": "bf16", "runtime": "torch"}, "only a scheme of integers"),
    ({"arch": SMALL, "scheme": "ptq", "runtime": "torch"}, "--scheme 'ptq' cannot be explained"),
    ({"arch": SMALL, "tokens": 0}, "--tokens 0 is out of range"),
    ({"arch": SMALL, "tokens": 513}, "513 tokens do not fit the 512 positions"),
    ({"arch": SMALL, "devices": Path("none.yaml")}, "none.yaml"),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=[said for _, said in BAD])
def test_what_cannot_be_explained_is_refused_in_one_sentence(
    options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.txt").write_text(f"{SMALL}\n{SMALL}\n", encoding="utf-8")
    Path("model.onnx").write_bytes(b"a graph")
    Path("empty").mkdir()
    usual = {"arch": None, "model": None, "device": "cpu-any", "devices": None, "tokens": None}
    chosen = {"scheme": "int8-dynamic", "runtime": "onnxruntime"} | usual | options

    with pytest.raises(BadInputError, match=re.escape(said)) as refused:
        task_of(Wanted(**chosen), HOST)

    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("short")
def test_what_only_the_worker_finds_out_is_one_sentence_too() -> None:
    with pytest.raises(BadInputError, match="q256 f512\\) cannot be explained: scheme 'int8-dyn"):
        run(arch=SMALL, runtime="torch", scheme="int8-dynamic:activations=token")


def test_without_a_device_the_first_that_this_host_can_be_is_taken() -> None:
    task = task_of(Wanted(SMALL, None, None, None, "int8-dynamic", "torch", None), HOST)

    assert "cpu-avx2" == task.device.name
    assert Workload(1, 128, 1) == task.question.workload


def test_a_runtime_that_listens_to_no_cap_is_refused() -> None:
    host = Host(Hardware("x86_64", "a CPU", isa=("avx2", "avx512f", "fma")), (0,))

    with pytest.raises(BadInputError, match="cannot be held to avx2"):
        task_of(Wanted(SMALL, None, "cpu-avx2", None, "int8-dynamic", "onnxruntime", 8), host)


@pytest.mark.parametrize(
    ("plot", "said"),
    [
        ("roof.gif", "a chart ends in"),
        ("no/roof.png", "no folder"),
        ("/proc/x.png", "cannot write"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused_first(plot: str, said: str) -> None:
    line = [sys.executable, "-m", "bench.cli", "explain", "--arch", SMALL, "--plot", plot]

    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)

    assert 2 == done.returncode
    assert "" == done.stdout
    assert said in done.stderr
    assert 1 == done.stderr.count("\n")


RATES = st.tuples(*[st.tuples(st.floats(0.01, 1), st.floats(3, 400)) for _ in range(8)])


def explained(drawn: Sequence[tuple[float, float]], peaks: Mapping[str, float]) -> Explained:
    asked = Question(
        Architecture.uniform(6, 384, 12, 384, 1536), Source(), "torch", "int8", Workload()
    )
    own = []
    for arithmetic, points in (("fp32", drawn[:4]), ("int8", drawn[4:])):
        rates = tuple(
            Rate(group, arithmetic, 1.0, ops := int(1e6 * share * peaks[arithmetic]) + 1,
                 max(int(ops / intensity), 1))
            for group, (share, intensity) in zip(GEMMS, points, strict=True)
        )  # fmt: skip
        parts = dict.fromkeys((*PARTS, OVERHEAD), 1.0)
        own.append(Breakdown(10.0, parts, 0.1, busy=False, scale=1.0, rates=rates))
    sizes = {"fp32": 42_000_000, "int8": 10_500_000}
    alone = {group: dict(peaks) for group in GEMMS}
    machine = Machine(dict(peaks), {"fp32": 16.0, "int8": 29.0}, sizes, alone)
    return Explained(asked, "cpu-any", *own, machine, Widths((), {}, {}))


@settings(max_examples=4, deadline=None)
@given(RATES)
def test_no_label_of_the_picture_covers_another_or_leaves_it(
    drawn: Sequence[tuple[float, float]],
) -> None:
    figure = roofline._figure(explained(drawn, {"fp32": 200.0, "int8": 2700.0}), "title")  # noqa: SLF001
    canvas = FigureCanvasAgg(figure)
    canvas.draw()

    (axes,) = figure.axes
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the lines
    assert 8 == len(boxes)
    legend = axes.get_legend()
    assert legend is not None
    boxes.append(legend.get_window_extent())
    frame = axes.get_window_extent()
    for index, box in enumerate(boxes):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
        assert not [other for other in boxes[:index] if box.overlaps(other)]


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_every_engine_multiplies_and_quantises_in_all_the_ways_it_says(engine: str) -> None:
    for make in makers(engine).values():
        make(Shape(8, 16, 32), 2, 1)()
    quantiser(engine, 8, 16, 1)()

    found = peak.peaks(engine, 1, [Shape(16, 64, 64)])
    assert {"fp32", "int8"} == set(found)
    assert min(found.values()) > 0
