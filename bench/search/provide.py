"""Makes what a search needs and has not got, if that is wanted. Searches nothing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.search import parts
from bench.search.exam import TaskName
from bench.search.meter import Bench
from bench.search.request import TASK_TOKENS, Asked
from bench.search.talk import Talk
from nas.folder import read

if TYPE_CHECKING:
    from nas.space import SearchSpace

P95 = 0.95


def benches_of(asked: Asked) -> dict[str, Bench]:
    """Each device as this host can be it."""
    benches = {
        device: Bench(
            device,
            asked.runtime,
            asked.results,
            asked.devices,
            asked.seed,
            remote=asked.ray is not None,
        )
        for device in asked.wanted.devices
    }
    for bench in benches.values():
        bench.ground(parts.schemes_of(asked))
    return benches


def provide(asked: Asked, benches: Mapping[str, Bench], talk: Talk) -> None:
    """Make what is missing, if that is wanted."""
    networks = list(parts.missing_networks(asked))
    if networks:
        from nas.space import load_space

        space = load_space(asked.space or parts.DEFAULT_SPACE)
    else:
        space = parts.space_of(read(parts.supernet_of(asked)), asked)
    fixed = asked.fixed_tokens
    lengths: tuple[int, ...] = () if fixed is None else (fixed,)
    cards: list[parts.Missing] = []
    if asked.tokens != TASK_TOKENS or not networks:
        lengths = lengths or task_tokens(asked)
        cards = list(_missing_cards(asked, benches, space, lengths))
    missing = [*cards, *networks]
    if missing:
        _make(asked, missing, talk)
    if asked.tokens == TASK_TOKENS and networks:
        provide(replace(asked, auto=True), benches, talk)


def _missing_cards(
    asked: Asked, benches: Mapping[str, Bench], space: "SearchSpace", lengths: Sequence[int]
) -> Iterator[parts.Missing]:
    limited = {limit.device for limit in asked.limits if limit.kind == "latency"}
    for device, bench in benches.items():
        if device in limited:
            ground = bench.ground(parts.schemes_of(asked))
            tokens = lengths or ground.device.tokens[:1]
            found = parts.missing_card(asked, ground, space, tokens)
            if found is not None:
                yield found


def _make(asked: Asked, missing: Sequence[parts.Missing], talk: Talk) -> None:
    if asked.auto is None and talk.confirm is not None:
        for part in missing:
            talk.say(f"missing: {part.what} ({part.why}): {part.command}")
        wanted = talk.confirm("make what is missing now?")
    else:
        wanted = bool(asked.auto)
    if not wanted:
        raise parts.refuse(missing)
    parts.make(missing, talk.say)


def task_tokens(asked: Asked) -> tuple[int, ...]:
    """95th percentile and mean of the lengths of the task's texts; nothing unless asked for."""
    if asked.tokens != TASK_TOKENS:
        return ()
    from nas.data.task import DEV
    from nas.data.tokens import tokenizer_of
    from nas.score.fit import most_tokens
    from nas.score.questions import questions_of

    saved = read(parts.supernet_of(asked))
    task = TaskName(asked.task, asked.folder, asked.columns).load(_silent)
    most = most_tokens(saved, task, None)
    found = questions_of(task, task.splits[DEV], tokenizer_of(saved.folder), most)
    lengths = found.encoded.lengths
    p95, mean = math.ceil(np.quantile(lengths, P95)), math.ceil(lengths.mean())
    return (p95, mean) if p95 != mean else (p95,)


def _silent(_line: str) -> None:
    """What is left out of a task is told once, by who searches."""
