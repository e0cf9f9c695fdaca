"""The `nas` command: one verb a file; here they are only put together."""

from typing import NoReturn

from nas.command_line import command, run
from nas.commands.data import app as data
from nas.commands.extract import extract
from nas.commands.generate import generate
from nas.commands.predict import predict
from nas.commands.score import score
from nas.commands.train import app as train

app = command(
    "nas", "Sub-models of BERT-like encoders: data, training, scores, models of their own."
)
data.command()(generate)
app.add_typer(data, name="data")
app.command()(extract)
app.command()(predict)
app.command()(score)
app.add_typer(train, name="train")


def main() -> NoReturn:
    """Run a command; bad input is one sentence on standard error and exit code 2."""
    run(app, "nas")


if __name__ == "__main__":
    main()
