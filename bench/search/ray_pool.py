"""A crew of the nodes of a Ray cluster, which need not share a disk. Keeps no rows."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.search.exam import Order, TaskName, exam_of, order_in, reply, request, score_in
from bench.search.ray_link import Job, Link, fetched
from nas.checkpoint import CONFIG, TENSORS
from nas.folder import SUPERNET, TOKENIZER
from nas.score.scorer import Scorer
from results.score import Score

if TYPE_CHECKING:
    import ray


@dataclass(frozen=True, slots=True)
class Parcel:
    """Which supernet is meant, wherever its files are."""

    path: str
    """Of its folder, on the machine that asks."""
    digest: str
    """SHA-256 of its files."""


class Cluster:
    """Scores sub-models on the CPUs of a cluster, one on each, with one thread each.

    Every node must have the task's data set: a packaged one, or files under the same path. The
    supernet is sent where its path leads to no such files.
    """

    def __init__(self, scorer: Scorer, task: TaskName, link: Link) -> None:
        """Send the supernet's files to the cluster's store.

        Args:
            scorer: whose scores are computed.
            task: how its task was named.
            link: to the cluster; left open by `close`.
        """
        self.exam = exam_of(scorer, task)
        self._link = link
        folder = Path(self.exam.supernet)
        self._parcel = Parcel(str(folder), digest_of(folder))
        self._content = link.put({file.name: file.read_bytes() for file in files_of(folder)})

    def compute(self, orders: Sequence[Order]) -> Generator[Score]:
        """One for each, as they come; left early, it stops what it began.

        Raises:
            BadInputError: an order is refused, or the cluster cannot do it.
        """
        jobs = [Job(str(x), (request(x), self._parcel, self._content)) for x in orders]
        for _, replied in self._link.each(answered, jobs):
            yield score_in(replied)

    def close(self) -> None:
        """Let go of the supernet's files; a second time does nothing."""
        self._content.clear()


def answered(
    asked: Mapping[str, Any], parcel: Parcel, content: "list[ray.ObjectRef[Any]]"
) -> dict[str, object]:
    """On a node: the reply to an order."""
    order = order_in(asked)
    folder = _here(parcel)
    if folder is None:
        folder = unpacked(parcel, fetched(content))
        _here.cache_clear()
    return reply(replace(order, exam=replace(order.exam, supernet=str(folder))))


@lru_cache(maxsize=4)
def _here(parcel: Parcel) -> Path | None:
    """A folder on this node with the files that are meant, if there is one."""
    own, sent = Path(parcel.path), _place(parcel)
    return next((f for f in (own, sent) if f.is_dir() and digest_of(f) == parcel.digest), None)


def _place(parcel: Parcel) -> Path:
    """Under a name of its own, and the folder's last name, which rows tell."""
    root = Path(tempfile.gettempdir()) / f"subbert-{os.getuid()}"
    return root / parcel.digest[:16] / Path(parcel.path).name


def unpacked(parcel: Parcel, content: Mapping[str, bytes]) -> Path:
    """Write the files where `_here` finds them; several processes may do so at once."""
    place = _place(parcel)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Path(tempfile.mkdtemp(dir=place.parent))
    for name, blob in content.items():
        (scratch / name).write_bytes(blob)
    try:
        if place.is_dir() and digest_of(place) != parcel.digest:
            shutil.rmtree(place)  # damaged, or left half
        scratch.rename(place)
    except OSError:  # another process was faster
        shutil.rmtree(scratch)
    return place


def files_of(folder: Path) -> list[Path]:
    """What a supernet is read from."""
    names = (CONFIG, TENSORS, SUPERNET, *TOKENIZER)
    return [folder / name for name in names if (folder / name).is_file()]


def digest_of(folder: Path) -> str:
    """SHA-256 of the names and contents of a supernet's files."""
    total = hashlib.sha256()
    for file in files_of(folder):
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.name} {digest}\n".encode())
    return total.hexdigest()
