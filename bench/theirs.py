"""int8 schemes that are the tools' of others: what they are, and whether they can be had here.

`int8-dynamic` of an .onnx file is ONNX Runtime's own quantiser's; `optimum-avx512-vnni` is the
route of optimum from a Hugging Face folder. What runs them is `bench.foreign_quantise`.
"""

import re
from collections.abc import Collection, Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from bench.foreign import graph_of
from results.errors import BadInputError

if TYPE_CHECKING:
    from onnx import GraphProto

ENGINE = "onnxruntime"
"""The runtime that both tools quantise for."""

AS_IS = "as-is"
"""The scheme of a foreign .onnx file: whatever is in it."""

DYNAMIC = "int8-dynamic"
OPTIMUM = "optimum-avx512-vnni"

MATRICES = ("MatMul", "Gemm")
"""The operators that are quantised."""

CURE = "pip install 'subbert[optimum]', best in an environment of its own"

_OF_INTEGERS = re.compile(r"[qQ]uantize|Integer|NBits|Bnb4|FpQ4|^Q[A-Z]")
"""Operators that compute with integers or store them: ONNX's own and those of ONNX Runtime."""


def anchor_scheme(scheme: str) -> str:
    """The scheme of the anchor beside it: always one of ours, made in a millisecond."""
    return DYNAMIC if scheme == OPTIMUM else scheme


def wanted_of(path: Path, schemes: Collection[str]) -> tuple[str, ...]:
    """Those of the schemes that others make of this folder or .onnx file.

    Raises:
        BadInputError: the file is one that their tool leaves as it is.
    """
    if path.is_dir():
        return (OPTIMUM,) if OPTIMUM in schemes else ()
    if DYNAMIC not in schemes:
        return ()
    _require_quantisable(path)
    return (DYNAMIC,)


def require_possible(
    schemes: Collection[str],
    wanted: Iterable[tuple[str, tuple[str, ...]]],
    runtimes: Collection[str],
    flags: Collection[str],
) -> None:
    """Refuse what was asked of others and cannot be had, instead of leaving it out.

    `wanted` names each source with what others make of it; `flags` are those of the CPU.

    Raises:
        BadInputError: no folder, no runtime, no package or no CPU for it.
    """
    found = [(source, scheme) for source, theirs in wanted for scheme in theirs]
    if OPTIMUM in schemes and OPTIMUM not in [scheme for _, scheme in found]:
        raise BadInputError(f"scheme {OPTIMUM} takes Hugging Face folders: add --model FOLDER")
    for source, scheme in found:
        if ENGINE not in runtimes:
            raise BadInputError(
                f"{scheme} of {source} runs on {ENGINE} only, and that is left out here: choose "
                "another --runtime, --device or --scheme"
            )
    if OPTIMUM in schemes:
        _require_optimum(flags)


def operator_of_integers(graph: "GraphProto") -> str:
    """The first one in a graph; empty where there is none."""
    return next((n.op_type for n in graph.node if _OF_INTEGERS.search(n.op_type)), "")


def nothing_in(path: Path) -> str:
    """The sentence for a model that the tools leave as it is."""
    return f"{path}: nothing to quantise, no MatMul or Gemm has its weights among the initialisers"


def _require_quantisable(path: Path) -> None:
    graph = graph_of(path)
    if found := operator_of_integers(graph):
        raise BadInputError(f"{path} is quantised already, it has {found}: leave out --scheme")
    stored = {tensor.name for tensor in graph.initializer}
    if not any(node.op_type in MATRICES and node.input[1] in stored for node in graph.node):
        raise BadInputError(nothing_in(path))


def _require_optimum(flags: Collection[str]) -> None:
    """Look at versions only: to import optimum takes seconds."""
    if "avx512_vnni" not in flags:
        raise BadInputError(f"scheme {OPTIMUM}: this CPU has no avx512_vnni; use {DYNAMIC}")
    try:
        needs = metadata.requires("optimum-onnx") or []
    except metadata.PackageNotFoundError:
        raise BadInputError(f"scheme {OPTIMUM} needs optimum-onnx: {CURE}") from None
    from packaging.requirements import Requirement

    for need in map(Requirement, needs):
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            found = _version(need.name)
            if not need.specifier.contains(found, prereleases=True):
                raise BadInputError(
                    f"scheme {OPTIMUM} needs {need.name}{need.specifier}, and here is "
                    f"{found or 'none'}: {CURE}"
                )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
