"""An ONNX graph under ONNX Runtime's own profiler. Knows no scheme and no table."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from profiler.onnx_roles import role_of, roles
from profiler.parts import part_of
from profiler.runtimes.runtime import INPUTS, Graph, Inputs
from profiler.timing import Clocks, Pace, Tape, visit
from profiler.trace import Piece

HALF_US = 0.5
"""Added to every node's time: the profiler cuts it down to whole microseconds."""

_SUFFIX = "_kernel_time"
_BYTES = {"bfloat16": 2, "bool": 1, "double": 8, "float": 4, "float16": 2}


class OrtTracer:
    """A session of its own, since a session profiles all of its calls or none."""

    def __init__(self, graph: Graph, inputs: Inputs, threads: int) -> None:
        import onnxruntime as ort

        self._folder = TemporaryDirectory()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        self._kept_alive = [
            ort.OrtValue.ortvalue_from_numpy(a) for a in graph.initializers.values()
        ]
        for name, value in zip(graph.initializers, self._kept_alive, strict=True):
            options.add_initializer(name, value)
        path = graph.lay_out(Path(self._folder.name))
        self._roles = roles(path.read_bytes())
        self._session = ort.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._graph = graph  # the session reads the arrays where they are
        wanted = {i.name for i in self._session.get_inputs()} & set(INPUTS)
        self._feed = {name: getattr(inputs, name) for name in wanted}
        self._made = 0
        self._kept: list[int] = []
        self.tape = Tape()

    def visit(self) -> None:
        visit(self._call, self.tape, Pace(), Clocks())
        self._kept += range(self._made - self.tape.visits[-1], self._made)

    def calls(self) -> list[list[Piece]]:
        with self._folder:
            text = Path(self._session.end_profiling()).read_text(encoding="utf-8")
        everything = pieces(json.loads(text), self._roles)
        return [everything[index] for index in self._kept]

    def _call(self) -> object:
        self._made += 1
        return self._session.run(None, self._feed)


def pieces(events: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> list[list[Piece]]:
    """Call by call, what ONNX Runtime's profile says of the nodes; `known` are their roles."""
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    found: list[list[Piece]] = [[] for _ in starts]
    for event in events:
        if event["name"].endswith(_SUFFIX):
            call = bisect_right(starts, event["ts"]) - 1
            found[call].append(_piece(event, known))
    return found


def _piece(event: Mapping[str, Any], known: Mapping[str, str]) -> Piece:
    told = event["args"]
    operator = told["op_name"]
    return Piece(
        part=part_of(operator, role_of(event["name"].removesuffix(_SUFFIX), known)),
        operator=operator,
        in_bytes=_width(told["input_type_shape"]),
        out_bytes=_width(told["output_type_shape"]),
        us=event["dur"] + HALF_US,
    )


def _width(tensors: Sequence[Mapping[str, object]]) -> int:
    """Bytes of a number of the first tensor; 0 where there is none."""
    kind = next((name for tensor in tensors for name in tensor), "")
    if not kind:
        return 0
    return _BYTES[kind] if kind in _BYTES else np.dtype(kind).itemsize
