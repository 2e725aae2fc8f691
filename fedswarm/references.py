"""Names in a job that point at code of the user's own: ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedswarm.errors import FedswarmError


def is_reference(name: str) -> bool:
    """Whether ``name`` has the form ``module:function``."""
    return ":" in name


def resolve(reference: str, error: type[FedswarmError]) -> Callable[..., Any]:
    """The function that ``module:function`` names; modules in the working directory are found too.

    Raises ``error`` if the module cannot be imported or has no such function.
    """
    module_name, _, function_name = reference.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as problem:  # the user's module runs its own code here: anything may go wrong
        reason = f"{type(problem).__name__}: {problem}"
        raise error(f"cannot import {module_name!r} of {reference!r} (looked in {here} too): {reason}") from problem
    function = getattr(module, function_name, None)
    if not callable(function):
        raise error(f"module {module_name!r} has no function {function_name!r}: give module:function")
    return function  # type: ignore[no-any-return]
