"""The process a runtime is tried in: `python -P -m bench.ability_worker CPUS`. Knows no table."""

from profiler.serving import Serve, serve_requests


def main() -> None:
    """Serve requests from standard input until it ends."""
    serve_requests(_load)


def _load() -> Serve:
    from bench.ability import serve

    return serve


if __name__ == "__main__":
    main()
