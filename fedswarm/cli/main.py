"""The command ``fedswarm``, and the border where errors become messages and exit codes."""

from __future__ import annotations

import sys

import typer

from fedswarm.cli import data, devices, job_files, logs, runs, stop, submit
from fedswarm.errors import FedswarmError

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


def main() -> None:
    """Runs the command line in ``sys.argv`` and exits with a code from ``docs/exit-codes.md``."""
    try:
        app(prog_name="fedswarm")
    except FedswarmError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
