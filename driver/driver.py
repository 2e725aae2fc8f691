"""``python driver/driver.py submit job.yml``: a door to :mod:`fedswarm.cli`, where the commands live."""

import sys

try:
    from fedswarm.cli.main import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in {"fedswarm", "typer", "rich", "pydantic", "yaml"}:
        raise
    print(
        f"driver: {error.name} is not installed; run `make setup`, then .venv/bin/python {sys.argv[0]}", file=sys.stderr
    )
    sys.exit(13)

if __name__ == "__main__":
    main()
