"""Folders of searches as `nas search` leaves them, with made-up numbers that hang together."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np

from nas.space import load_space
from results.architecture import Architecture
from results.choice import Dropped, Limit, Measured, Outcome, Predicted, Search, Tried, Winner
from results.searches import Run

CPU, BOARD = "cpu-avx512", "cpu-arm"
SPEEDS = {CPU: 1.0, BOARD: 3.5}
SHARE = 0.12
"""Of the trials, those of the second stage."""


def made_search(
    name: str = "trec6-ptq-10ms",
    scheme: str = "ptq",
    limits: Sequence[Limit] = (Limit(kind="latency", value=10.0, device=CPU, asked="10ms"),),
) -> Search:
    devices = [x.device for x in limits if x.kind == "latency"]
    return Search(
        name=name,
        task="trec6",
        scheme=scheme,
        searcher="evolution",
        seed=3,
        limits=tuple(limits),
        confidence=0.95,
        runtime="onnxruntime",
        space="minilm",
        supernet="supernet@sha256:0123456789abcdef",
        supernet_folder="nets/supernet",
        teacher_folder="nets/teacher",
        cards={one: f"{n}f" * 32 for n, one in enumerate(devices)},
        fingerprints={one: f"{n}a" * 8 for n, one in enumerate(devices)},
        examples=535,
        split="dev",
        evaluations=300,
        options={"tokens": "128"},
        packages={"onnxruntime": "1.31.0", "torch": "2.13.0"},
        tool="0.1.0",
        git="0a1b2c3d4e5f",
        started_utc="2026-11-21T20:00:00.000+00:00",
    )


def made_run(
    results: Path,
    search: Search | None = None,
    *,
    trials: int = 300,
    seed: int = 0,
    ended: bool = True,
) -> Run:
    """Its folder under `results`: two stages where the scheme is not fp32."""
    search = search or made_search()
    run = Run(results / "searches" / search.name)
    with run.locked():
        run.begin(search)
        tried = made_trials(search, trials, seed)
        run.restart(tried)
        if ended:
            run.end(made_outcome(search, tried))
    return run


def made_trials(search: Search, count: int, seed: int = 0) -> list[Tried]:
    rng = np.random.default_rng(seed)
    first = count if search.scheme == "fp32" else count - int(count * SHARE)
    networks = load_space(search.space).sample_unique(rng, first)
    full = [_trial(search, n, "full", a, rng.normal(0, 0.006)) for n, a in enumerate(networks, 1)]
    again = sorted(range(first), key=lambda i: (full[i].cost > 1, full[i].loss))[: count - first]
    quantised = [
        _trial(search, n, "quantised", full[i].architecture, rng.normal(-0.008, 0.006))
        for n, i in enumerate(again, first + 1)
    ]
    return full + quantised


def made_outcome(search: Search, tried: Sequence[Tried], winners: int = 3) -> Outcome:
    """Of the last stage the best within the limits; the next two measured too slow."""
    last = tried[-1].stage if tried else "full"
    able = sorted((x for x in tried if x.stage == last and x.cost <= 1), key=lambda x: x.loss)
    slow = [x for x in able[winners:] if x.predicted][:2]
    return Outcome(
        winners=tuple(_winner(search, rank, x) for rank, x in enumerate(able[:winners], 1)),
        dropped=tuple(
            Dropped(
                architecture=x.architecture,
                scheme=x.scheme,
                metrics=x.metrics,
                measured=tuple(_measured(p, 1.3) for p in x.predicted),
                why=f"{x.predicted[0].ms * 1.3:.2f} ms are over the budget",
            )
            for x in slow
        ),
        fastest=tuple(
            replace(p, ms=p.ms / 4, lower=p.lower / 4, upper=p.upper / 4)
            for p in able[0].predicted
        )
        if able
        else (),
        seconds=312.5,
        searcher_seconds=1.5,
        ended_utc="2026-11-21T20:05:12.500+00:00",
    )


def _trial(search: Search, n: int, stage: str, a: Architecture, noise: float) -> Tried:
    work = a.macs(128) / 1e6
    accuracy = min(1.0, 0.97 - 0.25 * exp(-work / 350) + noise)
    faster = 1.0 if search.scheme == "fp32" else 2.6
    predicted = tuple(
        _predicted(x, search, (0.3 + work / 25 / faster) * SPEEDS[x.device])
        for x in search.limits
        if x.kind == "latency"
    )
    megabytes = a.parameters / (2.5e5 if search.scheme == "fp32" else 9.6e5)
    budgets = {x.device: x.value for x in search.limits}
    uses = [p.upper / budgets[p.device] for p in predicted]
    uses += [megabytes / x.value for x in search.limits if x.kind == "size"]
    return Tried(
        n=n,
        stage=stage,
        searcher=search.searcher,
        architecture=a,
        scheme="fp32" if stage == "full" else search.scheme,
        metrics={"accuracy": accuracy, "f1-macro": accuracy - 0.02},
        loss=1.2 - accuracy,
        score=f"score-{n}",
        predicted=predicted,
        megabytes=megabytes,
        cost=max(uses, default=0.0),
        seconds=0.4,
    )


def _predicted(limit: Limit, search: Search, ms: float) -> Predicted:
    return Predicted(
        device=limit.device,
        runtime=search.runtime,
        tokens=limit.tokens or 128,
        ms=ms,
        lower=ms * 0.94,
        upper=ms * 1.06,
        confidence=search.confidence,
    )


def _measured(p: Predicted, factor: float) -> Measured:
    ms = p.ms * factor
    return Measured(
        device=p.device,
        runtime=p.runtime,
        tokens=p.tokens,
        ms=ms,
        lower=ms * 0.985,
        upper=ms * 1.02,
        rows=("row-1", "row-2"),
    )


def _winner(search: Search, rank: int, x: Tried) -> Winner:
    return Winner(
        rank=rank,
        architecture=x.architecture,
        scheme=search.scheme,
        metrics=x.metrics,
        full_metrics={name: value + 0.004 for name, value in x.metrics.items()},
        predicted=x.predicted,
        measured=tuple(_measured(p, 1.01) for p in x.predicted),
        megabytes=x.megabytes,
        memory_megabytes=x.megabytes * 1.7,
        folder=f"winners/{rank}",
        file=f"onnx/model-{search.scheme}.onnx",
        sha256=f"{rank}" * 64,
    )
