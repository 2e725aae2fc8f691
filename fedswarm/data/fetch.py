"""Gets the full Fashion-MNIST (60,000 + 10,000 images) into a folder, from Debian's package of it.

The one module of this room that runs other programs: ``apt-get download`` and ``dpkg-deb -x``, neither of which needs
root. Every file is verified before it takes its name, so a folder never holds a half or a wrong one.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Final

from fedswarm.errors import DataError, DependencyError

PACKAGE: Final = "dataset-fashion-mnist"
PACKAGED: Final = Path("usr/share/datasets/fashion-mnist")
INSTALLED: Final = Path("/") / PACKAGED
DOWNLOAD_TIMEOUT_S: Final = 600.0

# SHA-256 of the files' content: upstream and Debian gzip the same bytes differently.
CONTENT_SHA256: Final = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def fetch(name: str, folder: Path) -> Path:
    """Puts the four IDX files of data set ``name`` into ``folder`` and returns it; verified files stay as they are.

    Raises :class:`DataError` for an unknown name, a folder that cannot be written or files that fail verification, and
    :class:`DependencyError` when there is no way to get them.
    """
    if name != "fashion_mnist":
        raise DataError(f"cannot fetch {name!r}: only 'fashion_mnist' can be fetched")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if all(_is_right(folder / file) for file in CONTENT_SHA256):
            return folder
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as workspace:
            _install(_source(Path(workspace)), Path(workspace), folder)
    except OSError as error:
        raise DataError(f"cannot fetch {name} into {folder}: {error}") from error
    return folder


def _source(workspace: Path) -> Path:
    """A folder with the four files: the installed package's, or that of a package downloaded here."""
    if all((INSTALLED / file).is_file() for file in CONTENT_SHA256):
        return INSTALLED
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise DependencyError(
            f"fetching needs Debian's apt-get and dpkg-deb; elsewhere put {', '.join(CONTENT_SHA256)} "
            "of github.com/zalandoresearch/fashion-mnist into a folder and name it in data.folder"
        )
    # apt drops privileges when run as root and must still be able to write here.
    workspace.chmod(0o777)
    _run(["apt-get", "download", PACKAGE], workspace)
    packages = sorted(workspace.glob(f"{PACKAGE}_*.deb"))
    if not packages:
        raise DependencyError(f"apt-get downloaded no {PACKAGE}: run `apt-get update` and try again")
    _run(["dpkg-deb", "-x", packages[0].name, "unpacked"], workspace)
    return workspace / "unpacked" / PACKAGED


def _run(command: list[str], folder: Path) -> None:
    line = " ".join(command)
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        reason = last[0] if last else f"exit status {error.returncode}"
        raise DependencyError(
            f"`{line}` failed: {reason}; is there a network and an up-to-date package list?"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DependencyError(f"`{line}` did not end within {DOWNLOAD_TIMEOUT_S:.0f} s: try again") from error


def _install(source: Path, workspace: Path, folder: Path) -> None:
    for file in CONTENT_SHA256:
        copy = workspace / file
        shutil.copyfile(source / file, copy)
        if not _is_right(copy):
            raise DataError(f"{source / file} is not the {file} of Fashion-MNIST: its SHA-256 differs; not used")
    for file in CONTENT_SHA256:
        (workspace / file).replace(folder / file)


def _is_right(path: Path) -> bool:
    if not path.is_file():
        return False
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
    return digest.hexdigest() == CONTENT_SHA256[path.name]
