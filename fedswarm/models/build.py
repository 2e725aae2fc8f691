"""Builds the model a job names, the same on every process, and checks that it fits the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from fedswarm.errors import ModelError
from fedswarm.jobs.schema import ModelSection
from fedswarm.jobs.vocabulary import nearest
from fedswarm.models.zoo import BUILDERS
from fedswarm.randomness import torch_seed
from fedswarm.references import is_reference, resolve


@contextmanager
def keyed_torch_randomness(seed: int) -> Iterator[None]:
    """Inside, torch's CPU draws follow from ``seed``; outside, torch's generator is as if nothing had happened.

    For code that can only draw from the global generator: initialisers, and layers such as dropout.
    """
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        yield


def build_model(section: ModelSection, input_shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """The float32 model that ``section`` names, for samples of ``input_shape``, initialised by ``seed`` alone.

    A model of the user's own (``module:function``) is called with ``input_shape=``, ``classes=`` and the options.
    Raises :class:`ModelError` for an unknown name, wrong options, or outputs other than ``(N, classes)``.
    """
    builder = _builder(section.name)
    with keyed_torch_randomness(torch_seed(seed, 0, "model")):
        module = _call(builder, section, input_shape, classes)
        _check_output(module, section.name, input_shape, classes)
    return module


def _builder(name: str) -> Callable[..., Any]:
    if is_reference(name):
        return resolve(name, ModelError)
    if name not in BUILDERS:
        close = nearest(name, BUILDERS)
        hint = f" (did you mean {close!r}?)" if close else ""
        raise ModelError(f"unknown model {name!r}{hint}: choose one of {', '.join(BUILDERS)}, or module:function")
    return BUILDERS[name]


def _call(builder: Callable[..., Any], section: ModelSection, input_shape: tuple[int, ...], classes: int) -> nn.Module:
    try:
        module = builder(input_shape=input_shape, classes=classes, **section.options)
    except ModelError as error:
        raise ModelError(f"model {section.name!r}: {error}") from error
    except Exception as error:  # the user's code, or options that a builder does not take
        options = ", ".join(f"{key}={value!r}" for key, value in section.options.items()) or "no options"
        raise ModelError(f"model {section.name!r} with {options}: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"{section.name} returned a {type(module).__name__}: return a torch.nn.Module")
    return module.float()


def _check_output(module: nn.Module, name: str, input_shape: tuple[int, ...], classes: int) -> None:
    module.eval()
    try:
        with torch.inference_mode():
            output = module(torch.zeros(2, *input_shape))
    except Exception as error:  # whatever a forward pass may raise
        raise ModelError(
            f"model {name!r} does not take samples of shape {input_shape}: {type(error).__name__}: {error}"
        ) from error
    shape = tuple(getattr(output, "shape", ())) or type(output).__name__
    if shape != (2, classes):
        raise ModelError(f"model {name!r} gives {shape} for two samples, expected (2, {classes}): one score a class")
