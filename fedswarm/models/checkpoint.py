"""Weights in files: safetensors with named tensors, so that any tool can read them, and no code in them. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fedswarm.errors import ModelError
from fedswarm.models.layout import Layout, Vector

LAYOUT_KEY: Final = "fedswarm.layout"
HEADER_LENGTH_BYTES: Final = 8  # a little-endian integer, before the JSON header
HEADER_ALIGNMENT_BYTES: Final = 8  # tensors start at a multiple of it


def save_safetensors(path: Path, layout: Layout, vector: Vector, metadata: Mapping[str, str]) -> None:
    """Writes the tensors of ``vector`` under their names: all of the file or nothing, even if the machine dies.

    ``metadata`` may hold any text; the layout is added, so that :func:`load_safetensors` restores the vector's order.
    The same arguments give the same bytes, in any process.
    """
    content = save(layout.split(vector), metadata={**metadata, LAYOUT_KEY: layout.to_json()})
    header_end = HEADER_LENGTH_BYTES + int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
    header = _with_sorted_metadata(content[HEADER_LENGTH_BYTES:header_end])
    _write_atomically(path, (header, memoryview(content)[header_end:]))


def load_safetensors(path: Path) -> tuple[Layout, Vector, dict[str, str]]:
    """The layout, flat vector and metadata of a file that :func:`save_safetensors` wrote.

    Raises :class:`ModelError` if it cannot be read or is something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            if LAYOUT_KEY not in metadata:
                raise ModelError(f"{path} has no {LAYOUT_KEY!r} in its metadata: it is not a checkpoint of fedswarm")
            layout = Layout.from_json(metadata.pop(LAYOUT_KEY))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read the checkpoint {path}: {error}") from error
    wrong = [name for name, tensor in tensors.items() if tensor.dtype != np.float32]
    if wrong:
        raise ModelError(f"{path}: tensor {wrong[0]!r} is {tensors[wrong[0]].dtype}, expected float32")
    return layout, layout.join(tensors), metadata


def _with_sorted_metadata(header: bytes) -> bytes:
    """The start of the file anew, length included: safetensors writes metadata in an order that differs each time."""
    tensors = json.loads(header)
    metadata = dict(sorted(tensors.pop("__metadata__").items()))
    text = json.dumps({"__metadata__": metadata, **tensors}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % HEADER_ALIGNMENT_BYTES)
    return len(text).to_bytes(HEADER_LENGTH_BYTES, "little") + text


def _write_atomically(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
