"""Real processes that write a device card at once or are killed in the middle lose nothing."""

import os
import subprocess
import sys
from pathlib import Path

from predictors.card import read_card
from tests.made_cards import files


def in_another_process(folder: Path, script: str) -> str:
    """What a script says; it is another process because it forks."""
    here = str(Path(__file__).parent.parent)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([here, *sys.path]),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", PRELUDE + script, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert 0 == done.returncode, done.stderr
    return done.stdout


PRELUDE = """
import os, signal, sys
from itertools import count
from pathlib import Path
from predictors.card_fields import Key
from predictors.families import PLACES
from tests.made_cards import FAKE, FP32, INT8, faked, filled, read_all

PLACES["fake"] = FAKE
folder = Path(sys.argv[1])
"""

KILLED = """
def die_at(n):
    # Before the n-th call of the system that touches a file; and in the middle of a write.
    left = n

    def tick():
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real, write):
        def call(*args, **named):
            tick()
            if write:
                half = real(args[0], args[1][: len(args[1]) // 2])
                tick()
                return half + real(args[0], args[1][half:])
            return real(*args, **named)
        return call

    for name in ("open", "write", "fsync", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name), name == "write"))

old, new = faked(1.0, b"old"), faked(2.0, b"new")
for n in count():
    path = filled(folder, (FP32, old), (INT8, old))
    if not (child := os.fork()):
        die_at(n)
        filled(folder, (INT8, new))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    kept, put = (made.predictor for made in read_all(path))
    assert kept == old.predictor
    print({old.predictor: "o", new.predictor: "n"}[put], end="")
    if status == 0:
        break
"""


def test_a_killed_writer_leaves_the_old_card_or_the_new_one(tmp_path) -> None:
    said = in_another_process(tmp_path, KILLED)

    assert sorted(said, reverse=True) == list(said)
    assert said.count("o") > 12  # two parts and the card: open, write twice, fsync, replace
    assert said.count("n") > 2
    card = read_card(tmp_path / "cpu.json")
    named = {p.file for entry in card.entries for p in entry.fields.parts.values()}
    assert {"cpu.json", *named} == files(tmp_path)


AT_ONCE = """
children = []
for child in range(3):
    if not (pid := os.fork()):
        for n in range(5):
            filled(folder, (Key(f"runtime{child}", f"scheme{n}"), faked(n, b"%d-%d" % (child, n))))
        os._exit(0)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children], len(read_all(folder / "cpu.json")))
"""


def test_writers_at_once_lose_no_entry(tmp_path) -> None:
    assert "[0, 0, 0] 15\n" == in_another_process(tmp_path, AT_ONCE)
    assert 1 + 2 * 15 == len(files(tmp_path))
