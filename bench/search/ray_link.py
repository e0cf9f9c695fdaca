"""Jobs for the nodes of a Ray cluster, and what came of them. Knows no network and no ledger."""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.errors import BadInputError

if TYPE_CHECKING:
    import ray

Plain = Mapping[str, Any]
"""As JSON, and bytes."""

TRIES = 3
"""Times a job is begun again because its node or its process died."""

AT_ONCE = 500
"""Jobs that the cluster knows of; the others wait here."""

POLL_S = 5.0
PATIENCE_S = 60.0
"""How long a cluster may be without any node that could do a job."""

KNOCK_S = 5.0

INSTALL = "pip install 'subbert[ray]'"


@dataclass(frozen=True, slots=True)
class Job:
    """A function's arguments, and where it can run: one CPU, or one device and nobody beside."""

    name: str
    """For messages."""
    arguments: tuple[object, ...]
    device: str = ""
    """Name of the custom resource of which it needs one; a CPU where empty."""

    @property
    def resource(self) -> str:
        """What a node must have."""
        return self.device or "CPU"


class Link:
    """A connection to a cluster; from `connected`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._missing: dict[str, float] = {}
        """When a resource was first seen to be missing, by its name."""

    def put(self, content: object) -> "list[ray.ObjectRef[Any]]":
        """Give bytes to the cluster's store; `fetched` has them again on any node.

        In a list, as Ray would send them along with every job otherwise.
        """
        import ray

        return [ray.put(content)]

    def each(
        self, function: Callable[..., Plain], jobs: Sequence[Job]
    ) -> Generator[tuple[int, Plain]]:
        """What the function returns for each job, with the job's index, as they come.

        Left early, it ends the jobs that it began. The function must be importable on the nodes.

        Raises:
            BadInputError: no node can do a job, its nodes or processes died too often, or the
                function raised.
        """
        import ray

        waiting, pending = deque(enumerate(jobs)), dict["ray.ObjectRef[Any]", int]()
        for job in jobs:
            self.require(job.resource)
        try:
            while waiting or pending:
                while waiting and len(pending) < AT_ONCE:
                    index, job = waiting.popleft()
                    pending[_begun(function, job)] = index
                ready, _ = ray.wait(list(pending), num_returns=1, timeout=POLL_S)
                if not ready:
                    self._watch({jobs[index].resource for index in pending.values()})
                for reference in ready:
                    index = pending.pop(reference)
                    yield index, _got(reference, jobs[index])
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)

    def require(self, resource: str) -> None:
        """Raise BadInputError if no node has it."""
        if not self._has(resource):
            raise self._lacks(resource)

    def _watch(self, resources: set[str]) -> None:
        """A node may come back, or another one come: a job is not given up at once."""
        now = time.monotonic()
        for resource in resources:
            if self._has(resource):
                self._missing.pop(resource, None)
            elif now - self._missing.setdefault(resource, now) > PATIENCE_S:
                raise self._lacks(resource)

    def _has(self, resource: str) -> bool:
        import ray

        resources: Any = ray.cluster_resources  # has no types
        return bool(resources().get(resource, 0) >= 1)

    def _lacks(self, resource: str) -> BadInputError:
        if resource == "CPU":
            how = "start one with `ray start --num-cpus N`"
        else:
            how = f"start it with `ray start --resources '{{\"{resource}\": 1}}'`"
        message = f"no node of the Ray cluster at {self.address} has the resource {resource}"
        return BadInputError(f"{message}: {how}; what was done is kept")


@contextmanager
def connected(address: str) -> Iterator[Link]:
    """A connection to the cluster at `auto`, HOST:PORT or ray://HOST:PORT.

    One that this process has already is used, and left open.

    Raises:
        BadInputError: Ray is not installed, or there is no such cluster.
    """
    _show_token()
    try:
        import ray
    except ImportError:
        raise BadInputError(f"--ray needs the package ray: {INSTALL}") from None
    if ray.is_initialized():
        yield Link(address)
        return
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, ValueError, OSError) as error:
        said = " ".join(str(error).split())[:300]
        message = f"there is no Ray cluster at {address} that this machine can join ({said})"
        raise BadInputError(f"{message}: start one with `ray start --head`") from None
    try:
        yield Link(address)
    finally:
        ray.shutdown()


def _show_token() -> None:
    """Ray shows the token that `ray start` left to a cluster at `auto`; here to HOST:PORT too."""
    usual = Path.home() / ".ray" / "auth_token"
    told = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if told or usual.is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _knock(address: str) -> None:
    """Ray itself would try for minutes where nobody listens.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), KNOCK_S):
            pass


def fetched(references: "Sequence[ray.ObjectRef[Any]]") -> Any:
    """On a node: what `put` was given."""
    import ray

    return ray.get(references[0])


def _begun(function: Callable[..., Plain], job: Job) -> "ray.ObjectRef[Any]":
    import ray

    where: dict[str, Any] = {"num_cpus": 1}
    if job.device:
        where = {"num_cpus": 0, "resources": {job.device: 1}}
    remote: Any = ray.remote(function)
    begun: ray.ObjectRef[Any] = remote.options(max_retries=TRIES, name=job.name, **where).remote(
        *job.arguments
    )
    return begun


def _got(reference: "ray.ObjectRef[Any]", job: Job) -> Plain:
    import ray

    try:
        found: Plain = ray.get(reference)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        message = f"{job.name}: the Ray cluster could not do it ({lines[-1].strip()[:300]})"
        raise BadInputError(f"{message}: see that every node has {INSTALL} as here") from None
    return found
