"""Makes the embedded Fashion-MNIST subset: 1,000 training and 200 test images of each of the ten classes.

Takes the first of each class in the order of upstream's files, from the IDX files that Debian's package
``dataset-fashion-mnist`` installs, and writes ``fedswarm/data/embedded/``: the archive and ``fashion_mnist.json``,
which says where it came from. The bytes are the same on every run with the same zlib; the hash of the arrays always is.

    python tools/make_fashion_subset.py [FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedswarm.data import idx

SOURCE = Path("/usr/share/datasets/fashion-mnist")
TARGET = Path(__file__).resolve().parent.parent / "fedswarm" / "data" / "embedded"
CLASSES = 10
TRAIN_A_CLASS = 1000
TEST_A_CLASS = 200


def first_of_each_class(labels: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """Ascending indices of the first ``count`` samples of each class."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(CLASSES)]))


def digest(arrays: dict[str, NDArray[np.uint8]]) -> str:
    """SHA-256 over names, shapes and bytes of the arrays: what the archive holds, however it was compressed."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].shape}\n".encode())
        total.update(arrays[name].tobytes())
    return total.hexdigest()


def make(source: Path, target: Path) -> None:
    """Writes the archive and its provenance."""
    arrays: dict[str, NDArray[np.uint8]] = {}
    for half, names, count in (("train", idx.TRAIN, TRAIN_A_CLASS), ("test", idx.TEST, TEST_A_CLASS)):
        images, labels = idx.read_images_and_labels(source, names)
        chosen = first_of_each_class(labels, count)
        arrays |= {f"{half}_x": images[chosen], f"{half}_y": labels[chosen]}
    target.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target / "fashion_mnist.npz", allow_pickle=False, **arrays)
    provenance = {
        "source": "https://github.com/zalandoresearch/fashion-mnist",
        "package": "Debian dataset-fashion-mnist 0.0~git20200523.55506a9-1",
        "made_by": "tools/make_fashion_subset.py",
        "rule": f"the first {TRAIN_A_CLASS} training and {TEST_A_CLASS} test images of each class",
        "license": "MIT, see fashion_mnist.LICENSE",
        "arrays_sha256": digest(arrays),
    }
    (target / "fashion_mnist.json").write_text(json.dumps(provenance, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=SOURCE, help="where the IDX files are")
    make(parser.parse_args().folder, TARGET)
