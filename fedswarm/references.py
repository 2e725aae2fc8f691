"""Names in a job that point at code of the user's own: ``module:function``."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from fedswarm.errors import FedswarmError


def is_reference(name: str) -> bool:
    """Whether ``name`` has the form ``module:function``."""
    return ":" in name


def fault_of(reference: str, here: Path) -> str | None:
    """What is wrong with a reference as far as can be seen without importing anything; None if that is nothing.

    Modules in ``here`` are found, too.
    """
    module, _, function = reference.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        return "not a module and a function"
    return None if _spec(module, here) else f"there is no module {module!r} (looked in {here}, too)"


def _spec(module: str, here: Path) -> ModuleSpec | None:
    """Like :func:`importlib.util.find_spec`, which would import the packages that a module is in."""
    top, *inner = module.split(".")
    spec = None
    with contextlib.suppress(ValueError):  # a module in use that was not imported, such as __main__
        spec = importlib.util.find_spec(top)
    spec = spec or PathFinder.find_spec(top, [str(here)])
    name = top
    for part in inner:
        name += f".{part}"
        places = None if spec is None else spec.submodule_search_locations
        spec = None if places is None else PathFinder.find_spec(name, list(places))
    return spec


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
