import gzip
import hashlib
import subprocess

import pytest

from fedswarm.data import fetch as fetching
from fedswarm.data.fetch import fetch
from fedswarm.errors import DataError, DependencyError

CONTENT = {f"{half}-{what}.gz": f"{half} {what}".encode() for half in ("train", "t10k") for what in ("x", "y")}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A small package, installed."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(gzip.compress(content))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(fetching, "CONTENT_SHA256", digests)
    monkeypatch.setattr(fetching, "INSTALLED", folder)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_copies_the_installed_package_and_leaves_nothing_else(installed, tmp_path):
    folder = fetch("fashion_mnist", tmp_path / "deep" / "folder")
    assert names(folder) == sorted(CONTENT)


def test_a_verified_folder_is_left_alone(installed, tmp_path, monkeypatch):
    fetch("fashion_mnist", tmp_path / "data")
    monkeypatch.setattr(fetching, "_source", lambda workspace: pytest.fail("fetched again"))
    fetch("fashion_mnist", tmp_path / "data")


DAMAGED = {
    "empty": b"",
    "not gzip": b"not gzip",
    "other content": gzip.compress(b"other"),
    "cut short": gzip.compress(b"train x")[:-3],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)  # content as an id would differ between workers
def test_a_wrong_file_in_the_folder_is_replaced(installed, tmp_path, damage):
    folder = fetch("fashion_mnist", tmp_path / "data")
    (folder / "train-x.gz").write_bytes(damage)
    fetch("fashion_mnist", folder)
    assert gzip.decompress((folder / "train-x.gz").read_bytes()) == b"train x"


def test_files_that_fail_verification_never_get_their_name(installed, tmp_path):
    (installed / "t10k-y.gz").write_bytes(gzip.compress(b"tampered"))
    with pytest.raises(DataError, match=r"t10k-y\.gz is not"):
        fetch("fashion_mnist", tmp_path / "data")
    assert names(tmp_path / "data") == []


def fake_tools(monkeypatch, packaged):
    """apt-get and dpkg-deb that put ``packaged`` where the real ones would."""

    def run(command, cwd, **_):
        if command[0] == "apt-get":
            (cwd / f"{fetching.PACKAGE}_1_all.deb").touch()
        else:
            target = cwd / "unpacked" / fetching.PACKAGED
            target.parent.mkdir(parents=True)
            packaged.rename(target)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetching.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(fetching.subprocess, "run", run)


def test_downloads_and_unpacks_the_package_when_it_is_not_installed(installed, tmp_path, monkeypatch):
    fake_tools(monkeypatch, installed.rename(tmp_path / "packaged"))
    assert names(fetch("fashion_mnist", tmp_path / "data")) == sorted(CONTENT)


def test_without_debians_tools_the_way_out_is_said(installed, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "INSTALLED", tmp_path / "nowhere")
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: None)
    with pytest.raises(DependencyError, match=r"data\.folder"):
        fetch("fashion_mnist", tmp_path / "data")


def test_a_failed_download_shows_the_tools_last_line(installed, tmp_path, monkeypatch):
    def run(command, **_):
        raise subprocess.CalledProcessError(100, command, stderr="noise\nE: Unable to locate package\n")

    monkeypatch.setattr(fetching, "INSTALLED", tmp_path / "nowhere")
    monkeypatch.setattr(fetching.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(fetching.subprocess, "run", run)
    with pytest.raises(DependencyError, match=r"apt-get download.*Unable to locate package"):
        fetch("fashion_mnist", tmp_path / "data")
    assert names(tmp_path / "data") == []


def test_only_fashion_mnist_can_be_fetched(tmp_path):
    with pytest.raises(DataError, match="'mnist'"):
        fetch("mnist", tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error(installed, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot fetch"):
        fetch("fashion_mnist", tmp_path / "file" / "data")
