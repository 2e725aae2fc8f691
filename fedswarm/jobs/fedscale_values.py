"""Values of a FedScale job file, read as FedScale's command line reads them."""

from __future__ import annotations

from typing import Final

from fedswarm.jobs.fedscale_arguments import Kind
from fedswarm.jobs.yaml_source import CORE_FLOAT, Node, Scalar, resolve_scalar

Value = Scalar | list[Node] | dict[str, Node]

UNLIMITED: Final = 10**15
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def converted(value: Value, kind: Kind) -> Value:
    """The value as FedScale's command line reads it; what does not convert is left for validation to refuse."""
    if kind == "text":
        return str(value) if isinstance(value, int | float) else value
    if kind == "truth":
        return value if isinstance(value, list | dict) else _TRUTHS.get(str(value).lower(), value)
    if isinstance(value, str) and CORE_FLOAT.match(value):
        value = resolve_scalar(value)
    if kind == "whole" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def limit(value: Value, name: str) -> Value:
    """A limit on a client's samples, where FedScale writes numbers for "none": 0 below, 1e15 above."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if name == "filter_less":
        return 1 if value == 0 else value  # who has no samples has nothing to train on
    return None if value >= UNLIMITED else value


def word(node: Node) -> str:
    """A scalar as text; nothing for a list or a mapping, which no name or choice is."""
    return "" if isinstance(node.value, list | dict) else str(node.value)
