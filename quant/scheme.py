"""How numbers are stored and multiplied, by name. Knows no graph, no tensor and no runtime."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Literal, get_args, get_type_hints

from results.errors import BadInputError

Arithmetic = Literal["fp32", "int8-weight-only", "int8-dynamic", "int8-static"]
"""Of a linear layer: floats; int8 weights turned back into floats; integers, with the range of the
activations found in every call, or fixed before by calibration."""

Granularity = Literal["tensor", "channel"]
GROUPS = ("qkv", "attention-output", "ffn-in", "ffn-out")
"""The linear layers of a transformer layer, by what they do; q, k and v are one group."""


@dataclass(frozen=True, slots=True, order=True)
class Scheme:
    """One way to store and to multiply the numbers of an encoder.

    What no field speaks of (LayerNorm, softmax, GELU, residual sums) is computed in `rest`.
    """

    name: str
    """Its spelling; `parse(scheme.name) == scheme`."""
    qkv: Arithmetic = "fp32"
    attention_output: Arithmetic = "fp32"
    ffn_in: Arithmetic = "fp32"
    ffn_out: Arithmetic = "fp32"
    attention: Literal["fp32", "int8-static"] = "fp32"
    """The two products inside attention, Q K^T and P V."""
    embeddings: Literal["fp32", "int8"] = "fp32"
    """The table of words: int8 with a scale for each word, or as `weights` says in int8-seed."""
    vectors: Literal["fp32", "int8"] = "fp32"
    """Everything else that is stored: biases, LayerNorm, positions and types."""
    rest: Literal["fp32", "bf16"] = "fp32"
    """What is not integer arithmetic, on runtimes that can."""
    weights: Granularity = "channel"
    """A scale for each output channel of a weight matrix, or one for all of it."""
    symmetric: bool = True
    """Weights have no zero point."""
    activations: Literal["tensor", "token"] = "tensor"
    """One scale for all that a linear layer is given, or one for each token (dynamic only)."""
    zero_point: Literal["free", "middle"] = "free"
    """Of static activations: where the range puts it, or in the middle of the grid, so that an
    engine may count from -128 and has nothing to correct (OpenVINO: 10-15 % of the latency). What
    GELU gives is hardly below zero, so the input of ffn-out stays free."""
    observer: str = "minmax"
    """How calibration comes from values to a range; see `quant.observers`."""
    reduce_range: bool = False
    """Weights in 7 bits: no sum of two products overflows 16 bits on a CPU without VNNI."""
    smooth: float = 0.0
    """SmoothQuant's alpha (Xiao et al., ICML 2023, eq. 4); 0 leaves weights as they are."""
    bias_correction: bool = False
    """Biases take up the mean error of their layer (Nagel et al., ICCV 2019, section 4.2)."""
    keep: tuple[str, ...] = ()
    """What stays fp32 all the same: `3` is layer 3, `3.ffn-out` one group of it."""

    def __str__(self) -> str:
        return self.name

    def arithmetic(self, layer: int, group: str) -> Arithmetic:
        """How the linear layers of this group are computed in this transformer layer."""
        if str(layer) in self.keep or f"{layer}.{group}" in self.keep:
            return "fp32"
        found: Arithmetic = getattr(self, group.replace("-", "_"))
        return found

    @property
    def base(self) -> str:
        """The name without its settings."""
        return self.name.partition(":")[0]

    @property
    def arithmetics(self) -> frozenset[str]:
        """Those of all groups and of attention, layers that are kept left aside."""
        return frozenset({self.arithmetic(-1, group) for group in GROUPS} | {self.attention})

    @property
    def calibrated(self) -> bool:
        """Does it need ranges that were observed on text?"""
        return "int8-static" in self.arithmetics


def _all(name: str, kind: Arithmetic) -> Scheme:
    return Scheme(name, qkv=kind, attention_output=kind, ffn_in=kind, ffn_out=kind)


FP32 = Scheme("fp32")
BF16 = Scheme("bf16", rest="bf16")

INT8_DYNAMIC = _all("int8-dynamic", "int8-dynamic")
"""Weights: int8, symmetric, one scale per output channel. Activations: uint8, one scale and one
zero point per tensor, found anew in every call. Biases stay float32.

One scale per tensor, the default of onnxruntime.quantization and of torch.ao, is 2-3 % faster, but
moves the output of all-MiniLM-L6-v2 to a cosine of 0.957 with float32, where this stays at 0.991.
"""

INT8_STATIC = _all("int8-static", "int8-static")
"""As int8-dynamic, but the ranges of the activations are those seen on calibration text."""

INT8_WEIGHT_ONLY = _all("int8-weight-only", "int8-weight-only")
"""Small on the disk; computed as float32."""

INT8_SEED = replace(
    _all("int8-seed", "int8-weight-only"),
    embeddings="int8",
    vectors="int8",
    weights="tensor",
    symmetric=False,
)
"""What Bigger&Faster scores its int8 models with: every tensor rounded to 255 steps between its
smallest and largest number, arithmetic in float32."""

PTQ = replace(
    _all("ptq", "int8-static"),
    embeddings="int8",
    zero_point="middle",
    smooth=0.8,
    bias_correction=True,
)
"""The best this version knows: see docs/quantisation.md for what was compared."""

KNOWN: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            FP32,
            BF16,
            INT8_DYNAMIC,
            INT8_STATIC,
            INT8_WEIGHT_ONLY,
            INT8_SEED,
            PTQ,
            replace(PTQ, name="ptq-bf16", rest="bf16"),
        )
    }
)

_FIELDS = {f.name.replace("_", "-"): f.name for f in fields(Scheme) if f.name != "name"}
_HINTS = get_type_hints(Scheme)
_SWITCH = {"yes": True, "no": False}
_OBSERVER = re.compile(r"minmax|moving-average|mse|entropy|percentile-\d{1,2}(\.\d+)?")
_KEEP = re.compile(r"\d+(\.(" + "|".join(GROUPS) + "))?")
_SHARE = re.compile(r"0(\.\d+)?|1(\.0+)?")


def parse(text: str) -> Scheme:
    """The scheme of that spelling: a name, and settings after colons.

    `int8-static`, `ptq:ffn-out=fp32` (mixed), `int8-dynamic:activations=token`,
    `ptq:keep=0+5.ffn-out`, `int8-static:reduce-range=yes:observer=mse`.
    """
    name, *settings = text.split(":")
    if name not in KNOWN:
        raise BadInputError(f"unknown scheme {name!r}: choose one of {', '.join(KNOWN)}")
    changes: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in _FIELDS or _FIELDS[key] in changes:
            raise BadInputError(
                f"scheme {text!r}: {setting!r} is no setting, or is given twice: write "
                f"SETTING=VALUE, the settings are {', '.join(_FIELDS)}"
            )
        try:
            changes[_FIELDS[key]] = _value(_FIELDS[key], value)
        except ValueError as error:
            message = f"scheme {text!r}: {key} is {value!r} and must be {error}"
            raise BadInputError(message) from None
    made = replace(KNOWN[name], **changes)  # type: ignore[arg-type]
    _require_sense(text, made)
    return replace(made, name=_spelling(made, KNOWN[name]))


def _value(field: str, value: str) -> object:
    """The value of a field; a ValueError says what it must be."""
    choices = [c for c in get_args(_HINTS[field]) if isinstance(c, str)]
    if choices and value not in choices:
        raise ValueError(f"one of {', '.join(choices)}")
    if _HINTS[field] is bool and value not in _SWITCH:
        raise ValueError("yes or no")
    if _HINTS[field] is float and not _SHARE.fullmatch(value):
        raise ValueError("a number from 0 to 1")
    if field == "observer" and not _OBSERVER.fullmatch(value):
        raise ValueError("minmax, moving-average, mse, entropy or such as percentile-99.99")
    if field == "keep" and not all(map(_KEEP.fullmatch, value.split("+"))):
        raise ValueError("layers such as 0 or 5.ffn-out, joined by +")
    if field == "keep":
        return tuple(sorted(set(value.split("+"))))
    return _SWITCH[value] if _HINTS[field] is bool else type(getattr(FP32, field))(value)


def _require_sense(text: str, made: Scheme) -> None:
    if made.activations == "token" and made.calibrated:
        raise BadInputError(
            f"scheme {text!r}: a scale for each token cannot be fixed before; "
            "use activations=token with int8-dynamic"
        )
    if made.smooth and not made.calibrated:
        raise BadInputError(f"scheme {text!r}: smooth needs calibration; use it with int8-static")
    if made.vectors == "int8" and made.weights == "channel":
        raise BadInputError(f"scheme {text!r}: vectors have no channels; use weights=tensor too")
    if made.reduce_range and not made.symmetric:
        raise BadInputError(f"scheme {text!r}: reduce-range is for symmetric weights")


def _spelling(made: Scheme, base: Scheme) -> str:
    told = [base.name]
    for setting, field in _FIELDS.items():
        value = getattr(made, field)
        if value != getattr(base, field):
            told.append(f"{setting}={_told(value)}")
    return ":".join(told)


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "+".join(value) if isinstance(value, tuple) else str(value)
