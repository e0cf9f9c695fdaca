"""What a search-space file may say, field by field. Knows no file and builds no space."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic_core import ErrorDetails

from nas.spaces.layers import MOST_VALUES, PerHead, Qkv, require_grid
from results.architecture import LARGEST
from results.errors import BadInputError
from results.textfile import one_line

_EXAMPLE = "a list such as [1, 2, 4] or a range such as {from: 1, to: 8, step: 1}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Range(_Strict):
    first: int = Field(alias="from")
    last: int = Field(alias="to")
    step: int = 1


class _PerHead(_Strict):
    per_head: int = Field(ge=1, le=LARGEST)


def _shape(value: object) -> str | None:
    if isinstance(value, dict):
        return "<per head>" if "per_head" in value else "<range>"
    if isinstance(value, str):
        return "<word>"
    return "<list>" if isinstance(value, list) else None


def _no_shape(examples: str) -> Discriminator:
    return Discriminator(
        _shape, custom_error_type="shape", custom_error_message=f"must be {examples}"
    )


def _grid(sizes: list[int] | _Range) -> tuple[int, ...]:
    values = _expanded(sizes) if isinstance(sizes, _Range) else tuple(sizes)
    require_grid("the sizes", values)
    return values


def _expanded(sizes: _Range) -> tuple[int, ...]:
    first, last, step = sizes.first, sizes.last, sizes.step
    if step < 1 or last < first:
        raise ValueError(f"a range goes up, which from {first} to {last} step {step} does not")
    if (last - first) // step >= MOST_VALUES:
        raise ValueError(f"a range may hold at most {MOST_VALUES} sizes; take a larger step")
    if over := (last - first) % step:
        reached = last - over
        raise ValueError(f"steps of {step} from {first} pass over {last}; end at {reached}")
    return tuple(range(first, last + 1, step))


def _qkv(sizes: list[int] | _Range | _PerHead | Literal["hidden"]) -> Qkv:
    if isinstance(sizes, _PerHead):
        return PerHead(sizes.per_head)
    return sizes if sizes == "hidden" else _grid(sizes)


_List = Annotated[list[int], Tag("<list>")]
_FromTo = Annotated[_Range, Tag("<range>")]
_Rule = Annotated[_PerHead, Tag("<per head>")]
_Word = Annotated[Literal["hidden"], Tag("<word>")]

Grid = Annotated[_List | _FromTo, _no_shape(_EXAMPLE), AfterValidator(_grid)]
QkvGrid = Annotated[
    _List | _FromTo | _Rule | _Word,
    _no_shape(f"{_EXAMPLE}, or {{per_head: 64}}, or hidden"),
    AfterValidator(_qkv),
]


class SpaceFields(_Strict):
    """The fields of a file, its ranges written out."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = ""
    depth: Grid
    hidden: Grid
    heads: Grid
    qkv: QkvGrid
    ffn: Grid
    per_layer: bool = False
    vocab: int = Field(default=30522, ge=1, le=LARGEST)
    positions: int = Field(default=512, ge=1, le=LARGEST)
    types: int = Field(default=2, ge=1, le=LARGEST)


def checked_fields(data: object, where: str) -> SpaceFields:
    """All that is wrong with the fields, in one sentence; else the fields."""
    if not isinstance(data, dict):
        raise BadInputError(f"{where} must hold fields such as name, depth and hidden")
    try:
        return SpaceFields.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_phrase(e) for e in error.errors(include_url=False))
        raise BadInputError(f"{where}: {one_line(problems, 1000)}") from None


def _phrase(error: ErrorDetails) -> str:
    place = ".".join(str(x) for x in error["loc"] if not str(x).startswith("<"))
    match error["type"]:
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return f"{place} is not a known field"
        case "value_error":
            return f"{place}: {error['ctx']['error']}"
        case "shape":
            return f"{place} {error['msg']}"
        case "string_pattern_mismatch":
            shown = one_line(repr(error["input"]), 60)
            return f"{place} must be of letters, digits, '.', '_' and '-', not {shown}"
    message = error["msg"][:1].lower() + error["msg"][1:]
    return f"{place}: {message}, not {one_line(repr(error['input']), 60)}"
