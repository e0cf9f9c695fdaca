"""YAML that says one thing: no repeated keys, no aliases, no foreign tags. Knows no schema."""

from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import BadInputError
from results.textfile import one_line, read_text

if TYPE_CHECKING:
    import yaml

MOST_BYTES = 1 << 20
"""A configuration a person wrote is smaller."""


def read_yaml(path: Path | str) -> object:
    """What a YAML file holds; every refusal names the file and, where there is one, the line."""
    return load_yaml(read_text(path, MOST_BYTES), str(path))


def load_yaml(text: str, where: str) -> object:
    """What a YAML document holds, never None. `where` opens every message: the file, as a rule."""
    import yaml

    try:
        data: object = yaml.load(text, Loader=_strict_loader())  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise BadInputError(_sentence(error, where)) from None
    except RecursionError:
        raise BadInputError(f"{where} is nested too deeply to be read") from None
    except (ValueError, OverflowError) as error:  # a date or a number that does not exist
        raise BadInputError(f"{where} holds an impossible value: {one_line(error)}") from None
    if data is None:
        raise BadInputError(f"{where} is empty; it must hold one YAML document")
    return data


@cache
def _strict_loader() -> "type[yaml.SafeLoader]":
    import yaml

    refusal = yaml.constructor.ConstructorError

    class StrictLoader(yaml.SafeLoader):
        """A safe loader that follows no alias and takes no key twice."""

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                problem = "an alias such as *name is not followed; write the value out"
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise refusal(None, None, problem, mark)
            return super().compose_node(parent, index)

        def construct_mapping(
            self,
            node: yaml.MappingNode,
            deep: bool = False,  # noqa: FBT001, FBT002 - the signature is PyYAML's
        ) -> dict[Hashable, object]:
            lines: dict[Hashable, int] = {}
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, Hashable):
                    raise refusal(None, None, "a key must be a word", key_node.start_mark)
                if key in lines:
                    problem = f"the key {key!r} was already given on line {lines[key]}"
                    raise refusal(None, None, problem, key_node.start_mark)
                lines[key] = key_node.start_mark.line + 1
            return super().construct_mapping(node, deep)

    return StrictLoader


def _sentence(error: "yaml.YAMLError", where: str) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = one_line(getattr(error, "problem", None) or error)
    place = f"{where}, line {mark.line + 1}" if mark else where
    return f"{place}: {problem}, so this YAML cannot be used"
