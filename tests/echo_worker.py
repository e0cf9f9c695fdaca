"""A worker that does what it is told: for tests of the parent's side."""

import json
import os
import sys
import time


def answer(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        match asked["do"]:
            case "echo":
                answer(event="row", said=asked["word"])
            case "environment":
                answer(event="row", **os.environ)
            case "die":
                sys.stderr.write("the reason\n")
                sys.stderr.flush()
                os._exit(7)
            case "sleep":
                time.sleep(60)
        answer(event="done")


if __name__ == "__main__":
    main()
