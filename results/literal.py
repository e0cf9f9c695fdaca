"""A short text as plain objects: JSON, or a Python literal. Runs nothing it reads."""

import ast
import json
import warnings

from results.errors import BadInputError
from results.textfile import one_line

MOST_CHARACTERS = 1 << 16
"""Of one literal; an encoder of a thousand layers needs fewer."""


def load_literal(text: str) -> object:
    """What a JSON or Python literal says; a key given twice is refused."""
    if len(text) > MOST_CHARACTERS:
        message = f"{len(text)} characters are too many for one value (at most {MOST_CHARACTERS})"
        raise BadInputError(message)
    try:
        return load_json(text)
    except json.JSONDecodeError as error:
        complaint = f"{error.msg} at column {error.colno}"
    try:
        return _python(text.strip())
    except BadInputError:
        raise
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        shown = one_line(text, 60)
        message = f"{shown!r} is neither JSON ({complaint}) nor a Python dict"
        raise BadInputError(message) from None


def load_json(text: str) -> object:
    """Like `json.loads`, without silent loss of a repeated key.

    Raises:
        json.JSONDecodeError: the text is not JSON.
        BadInputError: it is, and cannot be used.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise BadInputError("the JSON is nested too deeply to be read") from None
    except (json.JSONDecodeError, BadInputError):
        raise
    except ValueError as error:  # a number of thousands of digits
        raise BadInputError(f"the JSON holds an impossible number: {one_line(error)}") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    _refuse_repeats([key for key, _ in pairs])
    return dict(pairs)


def _python(text: str) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, about text that will be refused anyhow
        tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            _refuse_repeats([k.value for k in node.keys if isinstance(k, ast.Constant)])
    value: object = ast.literal_eval(tree)
    return value


def _refuse_repeats(keys: list[object]) -> None:
    seen: set[object] = set()
    for key in keys:
        if key in seen:
            message = f"the key {one_line(repr(key), 60)} is given twice; keep one of them"
            raise BadInputError(message)
        seen.add(key)
