"""``python driver/driver.py submit job.yml``: a door to :mod:`fedswarm.cli`, where the commands live."""

import sys


def main() -> None:
    """Runs the command line; without what ``make setup`` installs, says so."""
    try:
        from fedswarm.cli.main import main as run

        run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"fedswarm", "typer", "rich", "pydantic", "yaml"}:
            raise
        hint = f"run `make setup`, then .venv/bin/python {sys.argv[0]}"
        print(f"driver: {error.name} is not installed; {hint}", file=sys.stderr)
        sys.exit(13)


if __name__ == "__main__":
    main()
