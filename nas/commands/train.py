"""`nas train`: teachers and supernets, each verb a file. Trains nothing itself."""

import typer

from nas.commands.train_further import further
from nas.commands.train_kd import kd
from nas.commands.train_mlm import mlm
from nas.commands.train_supernet import supernet
from nas.commands.train_teacher import teacher

app = typer.Typer(
    help="Train teachers and supernets; a killed training goes on when it is called again.",
    rich_markup_mode=None,
    add_completion=False,
)
app.command()(teacher)
app.command()(supernet)
app.command()(mlm)
app.command()(kd)
app.command()(further)
