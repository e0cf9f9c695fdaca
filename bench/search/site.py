"""Who scores and who measures for a search: this machine, or a Ray cluster. Decides nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from bench.search.exam import TaskName
from bench.search.finalists import Judge
from bench.search.judge import HereJudge
from bench.search.measure import How
from bench.search.meter import HereMeter, Meter
from bench.search.ray_judge import ClusterJudge
from bench.search.ray_link import Link, connected
from bench.search.ray_meter import ClusterMeter
from bench.search.ray_pool import Cluster
from bench.search.request import Asked
from bench.search.talk import Talk
from bench.search.workers import Crew, Processes
from nas.score.scorer import Scorer

Lengths = Mapping[str, tuple[int, ...]]
"""Of text, by device."""


class Site(Protocol):
    """Makes those who score and measure."""

    def meter(self) -> Meter:
        """Of networks with random weights."""
        ...

    def crew(self, scorer: Scorer) -> Crew:
        """Of those who score."""
        ...

    def judge(self, tokens: Lengths) -> Judge:
        """Of files."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """Everything on this machine."""

    asked: Asked
    talk: Talk

    def meter(self) -> Meter:
        return HereMeter(self.talk.watcher)

    def crew(self, scorer: Scorer) -> Crew:
        return Processes(scorer, _task(self.asked), self.asked.workers)

    def judge(self, tokens: Lengths) -> Judge:
        return HereJudge(_hows(self.asked, tokens), self.talk.watcher())


@dataclass(frozen=True, slots=True)
class There:
    """Everything on a cluster, which is joined when it is first needed."""

    asked: Asked
    link: Callable[[], Link]

    def meter(self) -> Meter:
        return ClusterMeter(self.link)

    def crew(self, scorer: Scorer) -> Crew:
        return Cluster(scorer, _task(self.asked), self.link())

    def judge(self, tokens: Lengths) -> Judge:
        return ClusterJudge(self.link(), _hows(self.asked, tokens))


@contextmanager
def site_of(asked: Asked, talk: Talk) -> Iterator[Site]:
    """The one that was asked for; a cluster is left at the end."""
    address = asked.ray
    if address is None:
        yield Here(asked, talk)
        return
    with ExitStack() as stack:
        yield There(asked, cache(lambda: stack.enter_context(connected(address))))


def _hows(asked: Asked, tokens: Lengths) -> list[How]:
    """How each device measures files."""
    return [
        How(
            device=device,
            tokens=several,
            results=asked.results,
            runtime=asked.runtime,
            devices=asked.devices,
            seed=asked.seed,
        )
        for device, several in tokens.items()
    ]


def _task(asked: Asked) -> TaskName:
    return TaskName(asked.task, asked.folder, asked.columns)
