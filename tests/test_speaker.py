"""Progress is one line that changes on a terminal, and a line now and then in a log."""

import io
import sys

import pytest

from nas.commands.table import say
from nas.commands.training import Speaker

SAID = [(0, "one"), (1, "two"), (2, "score\n"), (29, "three"), (31, "four"), (32, "five")]
"""Seconds, and what is said then."""


class Stream(io.StringIO):
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


def heard(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    stream, times = Stream(), iter([seconds for seconds, _ in SAID])
    stream.terminal = terminal
    speaker = Speaker(lambda: next(times))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        for _, line in SAID:
            speaker(line)
    return stream.getvalue()


def test_in_a_log_there_is_a_line_in_half_a_minute_and_every_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "one\nscore\nfour\n" == heard(monkeypatch, terminal=False)


def test_on_a_terminal_each_line_takes_the_place_of_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    c = "\r\x1b[K"

    expected = f"{c}one{c}two{c}score\n{c}three{c}four{c}five"
    assert expected == heard(monkeypatch, terminal=True)


@pytest.mark.parametrize(
    ("rank", "expected"), [(None, "nas: so\n"), ("0", "nas: so\n"), ("1", "")]
)
def test_of_several_processes_the_first_speaks(
    rank: str | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)

    say("so")

    assert expected == capsys.readouterr().err
