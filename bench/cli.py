"""The `bench` command: one verb a file; here they are only put together."""

from typing import NoReturn

from bench.devices import devices
from bench.drift import drift
from bench.explain import explain
from bench.export import export
from bench.fit import fit
from bench.predict import predict
from bench.profile import profile
from bench.rows import app as rows
from nas.command_line import command, run

app = command("bench", "Latency of sub-models of BERT-like encoders that you can trust.")
app.command()(profile)
app.command()(devices)
app.command()(drift)
app.command()(explain)
app.command()(export)
app.command()(fit)
app.command()(predict)
app.add_typer(rows, name="rows")


def main() -> NoReturn:
    """Run a command; bad input is one sentence on standard error and exit code 2."""
    run(app, "bench")


if __name__ == "__main__":
    main()
