"""The process `bench explain` measures in: `python -P -m bench.explain_worker CPUS`. No clock."""

from profiler.serving import Serve, serve_requests


def main() -> None:
    """Serve requests from standard input until it ends."""
    serve_requests(_load)


def _load() -> Serve:
    from bench.explain_measure import serve

    return serve


if __name__ == "__main__":
    main()
