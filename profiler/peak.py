"""The two roofs of a core: how fast it multiplies, how fast it reads. Knows no network."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from profiler.gemm import Shape, makers
from profiler.side_by_side import levels
from profiler.timing import Call

CUBES = tuple(Shape(rows, width, width) for rows in (256, 512) for width in (256, 512, 768, 1024))
"""Products whose numbers all fit the level-2 cache of a server core, or nearly."""

LEAST_BYTES = 1 << 16


def peaks(engine: str, threads: int, shapes: Sequence[Shape] = CUBES) -> dict[str, float]:
    """The engine's highest rates in `fp32` and `int8`, of all products it can make and all shapes.

    GOP/s: an addition and a multiplication are two operations.
    """
    runs: dict[tuple[str, Shape], Call] = {}
    for name, make in makers(engine).items():
        for shape in shapes:
            try:
                runs[name, shape] = make(shape, 1, threads)
            except (AttributeError, RuntimeError):  # a torch without these kernels
                break
    found: dict[str, float] = {}
    for (name, shape), ns in levels(runs, threads).items():
        arithmetic = name.partition("-")[0]
        found[arithmetic] = max(found.get(arithmetic, 0.0), shape.ops / ns)
    return found


def bandwidths(sizes: Mapping[str, int], threads: int) -> dict[str, float]:
    """GB/s at which a buffer of so many bytes is read over and over, with all threads."""
    with ThreadPoolExecutor(threads) as pool:
        runs = {name: _reader(size, threads, pool) for name, size in sizes.items()}
        spent = levels(runs, threads)
    return {name: max(size, LEAST_BYTES) / spent[name] for name, size in sizes.items()}


def _reader(size: int, threads: int, pool: ThreadPoolExecutor) -> Call:
    """A dot product of the two halves of each thread's share: nothing but reading."""
    half = max(size, LEAST_BYTES) // 8 // threads
    pairs = [np.ones((2, half), np.float32) for _ in range(threads)]

    def read(pair: np.ndarray) -> object:
        return np.dot(pair[0], pair[1])

    if threads == 1:
        return lambda: read(pairs[0])
    return lambda: list(pool.map(read, pairs))
