"""A torch module under torch's own profiler. Knows no scheme and no table."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from profiler.parts import part_of
from profiler.timing import Call, Clocks, Pace, Tape, visit
from profiler.trace import Piece

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.hooks import RemovableHandle

CALL = "one call"
"""The name of the range around a whole call."""

_NARROW = {"quantized::linear": 1, "onednn::qlinear_pointwise": 1, "aten::_int_mm": 1}
"""Products that are given integers; all others are given floats."""


class TorchTracer:
    """The very module that is timed: the profiler is on during a visit only.

    `labels` says which modules, by path, are a part of the network as a whole; the others are
    told by the operators that run in them. Every operator takes its time from the moment it is
    called to its return, without that of operators it calls itself.
    """

    def __init__(self, module: "nn.Module", labels: Mapping[str, str], run: Call) -> None:
        self._modules = {module.get_submodule(path): part for path, part in labels.items()}
        self._run = run
        self._calls: list[list[Piece]] = []
        self.tape = Tape()

    def visit(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        with self._ranges(), profile(activities=[ProfilerActivity.CPU]) as profiled:
            visit(self._call, self.tape, Pace(), Clocks())
        seen = pieces(cast("Sequence[Any]", profiled.events()))
        self._calls += seen[-self.tape.visits[-1] :]

    def calls(self) -> list[list[Piece]]:
        return self._calls

    def _call(self) -> object:
        from torch.profiler import record_function

        with record_function(CALL):
            return self._run()

    @contextmanager
    def _ranges(self) -> Iterator[None]:
        """The labelled modules tell the profiler when they begin and end."""
        hooks = [hook for m, part in self._modules.items() for hook in _hooks(m, part)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _hooks(module: "nn.Module", part: str) -> "Iterator[RemovableHandle]":
    from torch.profiler import record_function

    entered: list[Any] = []

    def begin(_module: object, _given: object) -> None:
        entered.append(record_function(part))
        entered[-1].__enter__()

    def end(_module: object, _given: object, _made: object) -> None:
        entered.pop().__exit__(None, None, None)

    yield module.register_forward_pre_hook(begin)
    yield module.register_forward_hook(end)


def pieces(events: Sequence[Any]) -> list[list[Piece]]:
    """Call by call, the time of operators without that of the operators they call."""
    ranges = [event for event in events if event.name == CALL]
    found: dict[int, list[Piece]] = {event.id: [] for event in ranges}
    for event in events:
        line = list(_ancestry(event))
        if line[-1].name == CALL and "::" in event.name:
            found[line[-1].id].append(_piece(event, line[:-1]))
    return list(found.values())


def _ancestry(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent


def _piece(event: Any, line: Sequence[Any]) -> Piece:
    """`line` leads from the event to the outermost range or operator that it is in."""
    role = next((e.name for e in line if "::" not in e.name), None)
    operators = [e.name for e in line if "::" in e.name]
    return Piece(
        part=part_of(operators[-1], role),
        operator=event.name,
        in_bytes=_NARROW.get(event.name, 4),
        out_bytes=4,
        us=float(event.self_cpu_time_total),
    )
