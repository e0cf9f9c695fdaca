"""Every search algorithm by its name. Loads only the one that is asked for."""

from importlib import import_module
from typing import Any, NamedTuple, cast

from nas.search.searcher import Ground, Searcher
from results.errors import BadInputError


class _Place(NamedTuple):
    module: str
    kind: str
    extra: str = ""
    """What `subbert[search]` brings for it."""


_PLACES = {
    "surrogate": _Place("surrogate", "Surrogate"),
    "evolution": _Place("evolution", "Evolution"),
    "local": _Place("local", "Local"),
    "nsga2": _Place("nsga2", "nsga2", "optuna"),
    "bayes": _Place("bayes", "bayes", "optuna"),
    "evolver": _Place("evolver", "Evolver"),
    "fast": _Place("fast", "Fast"),
    "grid": _Place("grid", "Grid"),
    "random": _Place("uniform", "Random"),
}

NAMES = tuple(_PLACES)
DEFAULT = "surrogate"


def searcher(name: str, ground: Ground, seed: int) -> Searcher:
    """The searcher of this name, new.

    Raises:
        BadInputError: no searcher has that name, or the package that it needs is not installed.
    """
    return cast("Searcher", _kind(name)(ground, seed))


def require(name: str) -> None:
    """Raise what `searcher` would, before there is anything to search."""
    _kind(name)


def _kind(name: str) -> Any:
    require_known(name)
    place = _PLACES[name]
    try:
        return getattr(import_module(f"nas.search.{place.module}"), place.kind)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != place.extra:
            raise
        raise BadInputError(
            f"the searcher {name!r} needs the package {place.extra}: "
            "pip install 'subbert[search]', or choose another"
        ) from None


def require_known(name: str) -> None:
    """Refuse a name that no searcher has.

    Raises:
        BadInputError: listing all there are.
    """
    if name not in _PLACES:
        known = ", ".join(NAMES)
        raise BadInputError(f"no searcher is called {name!r}: name one of {known}")
