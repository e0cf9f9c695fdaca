"""The process models are timed in: `python -P -m bench.worker CPUS`. Keeps nothing."""

from profiler.serving import Serve, serve_requests


def main() -> None:
    """Serve requests from standard input until it ends."""
    serve_requests(_load)


def _load() -> Serve:
    from bench.block import serve

    return serve


if __name__ == "__main__":
    main()
