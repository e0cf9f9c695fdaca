"""Answers of one network to texts, by ONNX Runtime or by PyTorch. Knows no task and no screen.

Texts go one by one, so that an answer is the same whatever else was asked. Only the runtime that
is used is loaded.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.checkpoint import architecture_of
from nas.data.task import Split
from nas.data.tokens import encode, tokenizer_of
from nas.extract.names import file_of
from quant.scheme import FP32, parse
from results.architecture import Architecture
from results.errors import BadInputError
from results.textfile import one_line

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Runtime = Literal["torch", "onnxruntime"]

RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "torch")
WORKS = ("classes", "score", "span")
"""Heads that answer something a person asks."""

WINDOW = 384
"""Tokens of a question and a stretch of its text."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A head's work, and how it is done."""

    work: str
    labels: tuple[str, ...]
    run: Callable[[Ints, Ints], tuple[Floats, ...]]
    """(1, T) ids and types -> (1, outputs), or (1, T) twice for a span."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """A network, ready to answer."""

    architecture: Architecture
    tokenizer: "Tokenizer"
    runner: Runner

    @property
    def work(self) -> str:
        """`classes`, `score` or `span`."""
        return self.runner.work

    def probabilities(self, text: str, pair: str | None = None) -> dict[str, float]:
        """Of each class; together they are 1."""
        (logits,) = self._outputs(text, pair)
        raised = np.exp(logits[0].astype(np.float64) - logits.max())
        found = raised / raised.sum()
        return dict(zip(self.runner.labels, found.tolist(), strict=True))

    def score(self, text: str, pair: str | None = None) -> float:
        """The number that the network has learnt to give."""
        (found,) = self._outputs(text, pair)
        return float(found.ravel()[0])

    def answer(self, question: str, context: str) -> str:
        """The stretch of the context that answers; empty where there is none."""
        from nas.data.spans import decode, windows

        split = Split((question,), (context,))
        tokens = min(WINDOW, self.architecture.positions)
        share = min(64, tokens // 4)
        found = windows(self.tokenizer, split, tokens=tokens, stride=share, question=share)
        logits = [self._run(i, t) for i, t in zip(found.ids, found.types, strict=True)]
        starts, ends = ([pair[side][0] for pair in logits] for side in (0, 1))
        return decode(found, starts, ends, split)[0]

    def _outputs(self, text: str, pair: str | None) -> tuple[Floats, ...]:
        pairs = None if pair is None else [pair]
        most = self.architecture.positions
        found = encode(self.tokenizer, [text], pairs, most_tokens=most)
        return self._run(found.ids, found.types)

    def _run(self, ids: NDArray[np.int32], types: NDArray[np.int32]) -> tuple[Floats, ...]:
        known = self.architecture.vocab
        if len(ids) and ids.max() >= known:
            message = (
                f"the tokeniser gives word number {ids.max()}, and the network has {known} words: "
                "they do not belong together"
            )
            raise BadInputError(message)
        return self.runner.run(ids[None].astype(np.int64), types[None].astype(np.int64))


def load(folder: Path, runtime: str | None = None, scheme: str | None = None) -> Predictor:
    """The network of a folder: its ONNX file where there is one, else its tensors.

    Raises:
        BadInputError: no such file, a damaged one, or a network that answers nothing.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise BadInputError(f"unknown runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}")
    name = FP32.name if scheme is None else parse(scheme).name
    if runtime == "torch" and name != FP32.name:
        raise BadInputError(f"scheme {name} is for onnxruntime: leave --runtime torch out")
    architecture, tokenizer = architecture_of(folder), tokenizer_of(folder)
    runner = None
    if runtime != "torch":
        runner = _onnx(folder, name, needed=runtime is not None or name != FP32.name)
    runner = runner or _torch(folder)
    if runner.work not in WORKS:
        has = f"a head for {runner.work!r}" if runner.work else "no head"
        message = f"{folder} has {has}, so it predicts no label: give one trained for a task"
        raise BadInputError(message)
    return Predictor(architecture, tokenizer, runner)


def _onnx(folder: Path, scheme: str, *, needed: bool) -> Runner | None:
    """The file of a scheme; None where it is not there, or not ours, and need not be."""
    path = folder / file_of(scheme)
    if not path.is_file():
        if needed:
            there = sorted(x.name for x in path.parent.glob("*.onnx"))
            message = (
                f"{folder} has no {file_of(scheme)}, only {', '.join(there) or 'no ONNX file'}: "
                f"extract it with --scheme {scheme}"
            )
            raise BadInputError(message)
        return None
    session = _session(path)
    said: dict[str, str] = session.get_modelmeta().custom_metadata_map
    if "architecture" not in said:
        if needed:
            raise BadInputError(f"{path} was not written by `nas extract`: write it with that")
        return None
    names = [x.name for x in session.get_outputs()]

    def run(ids: Ints, types: Ints) -> tuple[Floats, ...]:
        mask = np.ones_like(ids)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return tuple(session.run(names, feed))

    return Runner(said.get("work", ""), tuple(json.loads(said.get("labels", "[]"))), run)


def _session(path: Path) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 (the library's errors have no class in common)
        raise BadInputError(
            f"{path} is damaged ({one_line(error, 120)}): write it again"
        ) from None


def _torch(folder: Path) -> Runner:
    import torch

    from nas.folder import read

    saved = read(folder)
    if saved.head is None or saved.head.work not in WORKS:
        return Runner("" if saved.head is None else saved.head.work, (), lambda *_: ())
    network, work = saved.network().eval(), saved.head.work

    @torch.inference_mode()
    def run(ids: Ints, types: Ints) -> tuple[Floats, ...]:
        y = network(torch.from_numpy(ids), None, torch.from_numpy(types)).numpy()
        return (y[..., 0], y[..., 1]) if work == "span" else (y,)

    return Runner(work, saved.labels, run)


def matched(texts: Sequence[str], pairs: Sequence[str], name: str) -> list[str | None]:
    """The second text of each: one for all of them, or one each.

    Raises:
        BadInputError: another number of them.
    """
    if len(pairs) <= 1:
        return [pairs[0] if pairs else None] * len(texts)
    if len(pairs) != len(texts):
        message = f"{len(pairs)} {name} for {len(texts)} texts: give one for all, or one each"
        raise BadInputError(message)
    return list(pairs)
