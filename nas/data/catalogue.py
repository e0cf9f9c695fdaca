"""What registry packages hold for us, by the names people use. Reads none of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas.data import mixes, packaged, packages
from nas.data.packages import MODELS, PACKAGES, Package, Say
from results.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Entry:
    """A task, a corpus or a model."""

    name: str
    kind: Literal["task", "corpus", "model"]
    about: str
    examples: int | None
    """Of a task, in all splits."""
    packages: tuple[Package, ...]

    @property
    def size(self) -> int:
        """Of its packages, which others may share; in bytes."""
        return sum(package.size for package in self.packages)

    @property
    def licence(self) -> str:
        return ", ".join(dict.fromkeys(package.licence for package in self.packages))

    @property
    def fetched(self) -> bool:
        """Can it be used without a network?"""
        if self.kind == "model":
            return packages.unpacked(self.name) is not None
        return all(packages.cached(package) for package in self.packages)


def entries() -> dict[str, Entry]:
    """All there are, by name."""
    return {entry.name: entry for entry in (*_tasks(), *_corpora(), *_models())}


def fetch(name: str, *, say: Say) -> list[Path]:
    """Get what one of `entries` needs; the files or the folder where it is.

    Raises:
        BadInputError: there is nothing of that name, or it cannot be had.
    """
    known = entries()
    if name not in known:
        message = f"there is nothing called {name!r} to fetch: choose {', '.join(known)}"
        raise BadInputError(message)
    if known[name].kind == "model":
        return [packages.fetch_model(name, say=say)]
    return [packages.fetch(package, say=say) for package in known[name].packages]


def _tasks() -> Iterator[Entry]:
    for name, source in packaged.PACKAGED.items():
        yield Entry(name, "task", source.about, source.examples, (PACKAGES[source.package],))


def _corpora() -> Iterator[Entry]:
    of = {name: PACKAGES[source.package] for name, source in mixes.SOURCES.items()}
    for name, package in of.items():
        yield Entry(name, "corpus", "text without labels", None, (package,))
    yield Entry(mixes.MIX, "corpus", f"all of {', '.join(of)}", None, tuple(of.values()))


def _models() -> Iterator[Entry]:
    for name, model in MODELS.items():
        yield Entry(name, "model", model.about, None, (PACKAGES[model.package],))
