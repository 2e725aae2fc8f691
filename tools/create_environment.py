"""Creates the virtual environment and installs fedswarm into it; run by ``make setup`` with the system's Python.

PyTorch comes in a CPU build (about 190 MB) and CUDA builds (several GB). This script keeps what is there: a torch of
this Python is reused, then a CPU wheel that pip's own configuration offers is taken, and only then pip's default.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

TORCH = "2.13.0"
MINIMUM_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent.parent


def say(text: str) -> None:
    """Prose goes to standard error."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def has_torch(python: str | Path) -> bool:
    """Whether that interpreter finds a torch, without paying for its import."""
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([str(python), "-c", probe], check=False).returncode == 0


def pip(python: Path, *arguments: str, quiet_errors: bool = False) -> bool:
    """Runs pip of the new environment; returns whether it succeeded."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *arguments]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL if quiet_errors else None).returncode == 0


def install_torch(python: Path) -> None:
    """Installs torch unless the environment sees one already."""
    if has_torch(python):
        return
    say(f"installing PyTorch {TORCH}")
    if pip(python, f"torch=={TORCH}+cpu", quiet_errors=True):
        return
    say("no CPU build of PyTorch is offered by pip's configuration; taking pip's default, which may be a CUDA build")
    say("(to avoid that, point PIP_EXTRA_INDEX_URL at PyTorch's CPU index and run again)")
    if not pip(python, f"torch=={TORCH}"):
        raise SystemExit(f"setup: pip could not install torch=={TORCH}; its message is above")


def create(folder: Path) -> None:
    """Makes the environment at ``folder`` and installs the project in editable form."""
    if sys.version_info < MINIMUM_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        raise SystemExit(
            f"setup: Python {version} is too old, fedswarm needs 3.11 or newer (make PYTHON=python3.11 ...)"
        )
    python = folder / "bin" / "python"
    if not python.exists():
        # What an environment around another one sees is the Python beneath both, and not the packages of the other.
        reuse = sys.prefix == sys.base_prefix and has_torch(sys.executable)
        say(f"creating {folder}" + (" around the PyTorch that this Python has" if reuse else ""))
        venv.EnvBuilder(with_pip=True, system_site_packages=reuse, symlinks=os.name != "nt").create(folder)
    install_torch(python)
    say("installing fedswarm and generating its stubs")
    if not pip(python, "-e", str(ROOT)):
        raise SystemExit("setup: pip could not install fedswarm; its message is above")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    create(parser.parse_args().folder)
