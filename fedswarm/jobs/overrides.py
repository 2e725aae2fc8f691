"""Settings changed on the command line: ``--set training.batch_size=32``."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fedswarm.errors import JobFileError
from fedswarm.jobs.mistakes import Mistake
from fedswarm.jobs.vocabulary import Path, settings
from fedswarm.jobs.yaml_source import Node, Place, parse_value


def apply_overrides(root: Node, overrides: Sequence[str]) -> list[Mistake]:
    """Writes each ``path=value`` into the tree, the last one winning; returns what could not be written.

    A value is a YAML scalar or flow collection. A section's value replaces the whole section; ``null`` or nothing
    takes a setting back to its default where it may be absent.
    """
    return [mistake for override in overrides for mistake in _apply(root, override)]


def replaces(overrides: Sequence[str], paths: Collection[Path]) -> bool:
    """Whether the overrides set one of these settings, or a section around it."""
    written = [tuple(override.partition("=")[0].strip().split(".")) for override in overrides]
    return any(path[: len(steps)] == steps for path in paths for steps in written)


def _apply(root: Node, override: str) -> list[Mistake]:
    path, equals, text = override.partition("=")
    place = Place(f"--set {override}")
    steps = path.strip().split(".")
    if not equals or not all(steps):
        return [Mistake(place, "", "not path=value; write e.g. --set training.batch_size=32")]
    try:
        document = parse_value(text, place.source)
    except JobFileError as error:
        return [Mistake(place, path, str(error).removeprefix(place.source).lstrip(":0123456789 "))]
    if document.repetitions:
        text = "written twice; keep one of the two"
        return [Mistake(place, f"{path}.{again.path}", text) for again in document.repetitions]
    return _write(root, tuple(steps), document.root, place)


def _write(root: Node, steps: tuple[str, ...], new: Node, place: Place) -> list[Mistake]:
    parent = root
    for depth, step in enumerate(steps[:-1], start=1):
        setting = settings().get(steps[:depth])
        if setting is not None and not setting.is_section and not isinstance(setting.default, dict):
            text = f"{setting.dotted} has no keys below it; it takes {setting.takes}"
            return [Mistake(place, ".".join(steps), text)]
        if not isinstance(parent.value, dict):
            break
        below = parent.value.get(step)
        if below is None or below.value is None:
            below = parent.value[step] = Node({}, place, place)
        parent = below
    # Anything but a mapping here is the file's own mistake, which validation reports at its place.
    if isinstance(parent.value, dict):
        parent.value[steps[-1]] = new
    return []
