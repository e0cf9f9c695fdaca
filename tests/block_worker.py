"""A worker that answers every order of a block with a made-up quiet run: for tests of a sweep."""

import json
import os
import sys

SERIES = {name: [1000] * 6 for name in ("wall_ns", "cpu_ns")}
SERIES |= {name: [0] * 6 for name in ("switches", "faults")} | {"visits": [1] * 6}


def main() -> None:
    for line in sys.stdin:
        for index, _ in enumerate(json.loads(line)["orders"]):
            cold = {"build_ns": 1, "load_ns": 1, "first_ns": 1}
            run = {"subject": SERIES, "pid": os.getpid()}
            print(json.dumps({"event": "row", "index": index, "run": run, "cold": cold}))  # noqa: T201
        print('{"event": "done"}', flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
