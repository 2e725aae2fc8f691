"""The command ``fedswarm`` and its subcommands."""

from __future__ import annotations

import typer

from fedswarm.cli import data, devices, job_files, logs, runs, stop, submit

app = typer.Typer(
    name="fedswarm",
    help="Federated learning on a cluster whose model weights travel peer to peer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(submit.submit)
app.command()(runs.status)
app.command(name="list")(runs.list_all)
app.command()(logs.logs)
app.command()(stop.stop)
app.command()(job_files.validate)
app.command()(job_files.schema)
app.add_typer(data.app, name="data")
app.add_typer(devices.app, name="devices")
