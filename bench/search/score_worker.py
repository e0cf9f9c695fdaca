"""The process sub-models are scored in: `python -P -m bench.search.score_worker CPUS`."""

from profiler.serving import Serve, serve_requests


def main() -> None:
    """Serve requests from standard input until it ends."""
    serve_requests(_load)


def _load() -> Serve:
    from bench.search.exam import serve

    return serve


if __name__ == "__main__":
    main()
