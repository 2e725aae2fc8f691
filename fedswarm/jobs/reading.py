"""A tree read as a job as far as it can be: settings that fit count although others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedswarm.jobs.vocabulary import Path, settings
from fedswarm.jobs.yaml_source import Node


@dataclass(frozen=True)
class Reading:
    """A tree, and the paths in it that do not fit the schema."""

    root: Node
    misfits: frozenset[Path]

    def fits(self, path: Path) -> bool:
        """Whether neither the setting nor a section around it is amiss."""
        return not any(path[:depth] in self.misfits for depth in range(len(path) + 1))

    def node(self, path: Path) -> Node | None:
        """The value as written, if it is."""
        node: Node | None = self.root
        for step in path:
            node = node.value.get(step) if node is not None and isinstance(node.value, dict) else None
        return node

    def value(self, path: Path) -> Any:
        """The value of a setting that fits, or its default."""
        node = self.node(path)
        return settings()[path].default if node is None else node.plain()
