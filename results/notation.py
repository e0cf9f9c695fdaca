"""Architectures as text: our JSON, the seeds' dicts, one per line. Knows no search space."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from results.architecture import MOST_LAYERS, Architecture, Layer
from results.errors import BadInputError
from results.literal import load_json, load_literal
from results.textfile import one_line, read_text

Style = Literal["json", "seed"]


BERT_TABLES = (30522, 512, 2)
"""Vocabulary, positions and types of BERT uncased: what the seeds' notation takes for granted."""


def parse_architecture(text: str) -> Architecture:
    """Our JSON, or a seed's dict as JSON or as a Python literal."""
    return _from_object(load_literal(text))


def format_architecture(a: Architecture) -> str:
    """One line of JSON that `parse_architecture` reads back."""
    layers = [{"heads": x.heads, "qkv": x.qkv, "ffn": x.ffn} for x in a.layers]
    tables = {"vocab": a.vocab, "positions": a.positions, "types": a.types}
    return json.dumps({"hidden": a.hidden, "layers": layers} | tables)


def from_seed_dict(d: Mapping[str, object]) -> Architecture:
    """The dict of AutoTinyBERT and Bigger&Faster; one number stands for every layer."""
    seed = _converted(dict(d), _Seed)
    depth = seed.sample_layer_num
    if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth <= MOST_LAYERS:
        value = one_line(repr(depth), 60)
        message = f"sample_layer_num must be a whole number from 1 to {MOST_LAYERS}, not {value}"
        raise BadInputError(message)
    columns = [_per_layer(name, getattr(seed, name), depth) for name in _LISTS]
    return _valid(seed.sample_hidden_size, list(zip(*columns, strict=True)))


def seed_dict(a: Architecture) -> dict[str, int | list[int]]:
    """The seeds' dict, its keys in the order in which the seeds write them."""
    if (a.vocab, a.positions, a.types) != BERT_TABLES:
        message = (
            f"the seeds' notation cannot say vocab {a.vocab}, positions {a.positions}, "
            f"types {a.types}, only BERT's {BERT_TABLES}; write JSON instead"
        )
        raise BadInputError(message)
    return {
        "sample_layer_num": a.depth,
        "sample_num_attention_heads": [x.heads for x in a.layers],
        "sample_hidden_size": a.hidden,
        "sample_intermediate_sizes": [x.ffn for x in a.layers],
        "sample_qkv_sizes": [x.qkv for x in a.layers],
    }


def read_architectures(path: Path | str) -> tuple[Architecture, ...]:
    """A JSON file with one object or a list of them, or a text file with one on every line."""
    text = read_text(path)
    whole = _whole_json(text, str(path))
    if whole is None:
        found = [_at(f"{path}, line {n}", parse_architecture, x) for n, x in _lines(text)]
    else:
        found = [_at(f"{path}, item {i}", _from_object, x) for i, x in enumerate(whole, 1)]
    if not found:
        raise BadInputError(f"{path} holds no architecture; write one per line, e.g. {_EXAMPLE}")
    return tuple(found)


def write_architectures(
    path: Path | str, archs: Iterable[Architecture], style: Style = "json"
) -> None:
    """One architecture per line; `seed` is what AutoTinyBERT and Bigger&Faster read."""
    if style not in ("json", "seed"):
        raise BadInputError(f"style must be 'json' or 'seed', not {style!r}")
    as_text = format_architecture if style == "json" else lambda a: str(seed_dict(a))
    _write_lines(path, [as_text(a) for a in archs])


def read_latency_tsv(path: Path | str) -> list[tuple[Architecture, float]]:
    """The seeds' latency data set: a dict, a tab and the mean in milliseconds on every line."""
    rows = [_at(f"{path}, line {n}", _latency, x) for n, x in _lines(read_text(path))]
    if not rows:
        raise BadInputError(f"{path} holds no latency; a line is a dict, a tab and milliseconds")
    return rows


def write_latency_tsv(path: Path | str, rows: Iterable[tuple[Architecture, float]]) -> None:
    """What `read_latency_tsv` and the seeds' latency predictors read."""
    _write_lines(path, [f"{seed_dict(a)}\t{_positive(str(float(ms)))}" for a, ms in rows])


class _Layer(msgspec.Struct, forbid_unknown_fields=True):
    heads: object
    qkv: object
    ffn: object


class _Json(msgspec.Struct, forbid_unknown_fields=True):
    hidden: object
    layers: list[_Layer]
    vocab: object = BERT_TABLES[0]
    positions: object = BERT_TABLES[1]
    types: object = BERT_TABLES[2]


class _Seed(msgspec.Struct, forbid_unknown_fields=True):
    sample_layer_num: object
    sample_hidden_size: object
    sample_intermediate_sizes: object
    sample_num_attention_heads: object
    sample_qkv_sizes: object


_LISTS = ("sample_num_attention_heads", "sample_qkv_sizes", "sample_intermediate_sizes")
"""In the order of `Layer`."""

_EXAMPLE = '{"hidden": 312, "layers": [{"heads": 12, "qkv": 312, "ffn": 1200}]}'

_Form = TypeVar("_Form", _Json, _Seed)
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def _from_object(data: object) -> Architecture:
    try:
        if not isinstance(data, dict):
            shown = one_line(repr(data), 60)
            raise BadInputError(f"{shown} is not an architecture; one looks like {_EXAMPLE}")
        seed = any(str(key).startswith("sample_") for key in data)
        return from_seed_dict(data) if seed else _from_json(data)
    except RecursionError:  # while showing what is wrong
        raise BadInputError("the text is nested too deeply to be read") from None


def _from_json(data: dict[str, object]) -> Architecture:
    form = _converted(data, _Json)
    sizes = [(x.heads, x.qkv, x.ffn) for x in form.layers]
    return _valid(form.hidden, sizes, (form.vocab, form.positions, form.types))


def _converted(data: dict[str, object], form: type[_Form]) -> _Form:
    """Keys and shape are checked here, by msgspec; the sizes by the words of `results`."""
    try:
        return msgspec.convert(data, form)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        place = f"{where.rstrip('`')}: " if where else ""
        raise BadInputError(place + one_line(what[:1].lower() + what[1:])) from None


def _per_layer(name: str, value: object, depth: int) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        return [value] * depth
    if len(value) != depth:
        message = f"{name} has {len(value)} sizes where sample_layer_num says {depth}"
        raise BadInputError(f"{message}; give {depth} of them, or one number for all layers")
    return value


def _valid(
    hidden: object, sizes: Sequence[tuple[object, ...]], tables: tuple[object, ...] = BERT_TABLES
) -> Architecture:
    if len(sizes) > MOST_LAYERS:
        raise BadInputError(f"layers has {len(sizes)} entries; at most {MOST_LAYERS} are read")
    layers = tuple(_at(f"layers[{i}]", _layer, x) for i, x in enumerate(sizes))
    try:
        return Architecture(hidden, layers, *tables)  # type: ignore[arg-type] # it checks itself
    except ValueError as error:
        raise BadInputError(one_line(error)) from None


def _layer(sizes: tuple[object, ...]) -> Layer:
    try:
        return Layer(*sizes)  # type: ignore[arg-type] # it checks itself
    except ValueError as error:
        raise BadInputError(one_line(error)) from None


def _latency(line: str) -> tuple[Architecture, float]:
    text, _, number = line.partition("\t")
    if not number or "\t" in number:
        raise BadInputError("a line is a dict, one tab and a number of milliseconds")
    return parse_architecture(text), _positive(number)


def _positive(number: str) -> float:
    try:
        ms = float(number)
    except ValueError:
        ms = math.nan
    if not 0 < ms < math.inf:
        shown = one_line(number, 40)
        raise BadInputError(f"a latency is a positive number of milliseconds, not {shown!r}")
    return ms


def _whole_json(text: str, where: str) -> list[object] | None:
    """The items of a file that is one JSON value; None when it is to be read line by line."""
    body = text.strip()
    if not body.startswith(("[", "{")):
        return None
    try:
        value = _at(where, load_json, body)
    except json.JSONDecodeError as error:
        first, _, rest = body.partition("\n")
        if body.startswith("{") and (not rest or first.rstrip().endswith("}")):
            return None
        line = error.lineno + text[: text.index(body)].count("\n")
        raise BadInputError(f"{where}, line {line}: {error.msg}, so this is not JSON") from None
    return value if isinstance(value, list) else [value]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered as an editor numbers them; blank lines and comments left out."""
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _at(where: str, read: Callable[[_In], _Out], what: _In) -> _Out:
    try:
        return read(what)
    except BadInputError as error:
        raise BadInputError(f"{where}: {error}") from None


def _write_lines(path: Path | str, lines: Sequence[str]) -> None:
    try:
        with Path(path).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInputError(f"{path} cannot be written: {reason}") from error
