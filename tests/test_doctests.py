"""Every public name has an example, and every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops, tracing

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if not module.name.endswith(("._core", ".__main__"))
)
# What examples take as imported; the docstring of the package says so.
NAMES = {"fastnn": fastnn, "layers": layers, "np": np, "ops": ops}

PUBLIC = (
    "activations",
    "autodiff",
    "callbacks",
    "constraints",
    "datasets",
    "datasets.mnist",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "regularizers",
    "schedules",
    "text",
    "utils",
)
# Classes whose methods are called by users; those of layers, losses and so on are hooks that their base class explains.
WITH_METHODS = (fastnn.Sequential, fastnn.Variable, tracing.Function)
# For those who write derivatives: the rules in `ops/` are the example, and registering another one would outlive it.
WITHOUT_EXAMPLE = {"fastnn.autodiff.Node", "fastnn.autodiff.Trace", "fastnn.autodiff.vjp"}


@pytest.mark.parametrize("name", ["fastnn", *MODULES])
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs=NAMES, optionflags=doctest.ELLIPSIS).failed == 0


def public_objects() -> Iterator[tuple[str, Any]]:
    modules = ["fastnn", *(f"fastnn.{name}" for name in PUBLIC)]
    for module in map(importlib.import_module, modules):
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing):
                yield f"{module.__name__}.{name}", thing
    for kind in WITH_METHODS:
        for name in dir(kind):
            member = inspect.getattr_static(kind, name)
            own = name not in vars(layers.Layer) or member is not inspect.getattr_static(layers.Layer, name)
            if not name.startswith("_") and callable(member) and own:
                yield f"{kind.__qualname__}.{name}", member


DOCUMENTED = [pytest.param(thing, id=name) for name, thing in public_objects() if name not in WITHOUT_EXAMPLE]


@pytest.mark.parametrize("thing", DOCUMENTED)
def test_public_names_have_an_example(thing):
    assert ">>>" in (thing.__doc__ or "")


@pytest.mark.parametrize("thing", DOCUMENTED)
def test_public_names_explain_their_parameters(thing):
    explained = thing.__doc__ + "".join(base.__doc__ or "" for base in getattr(thing, "__mro__", ())[1:-1])
    for name in inspect.signature(thing).parameters:
        assert name in ("self", "cls") or re.search(rf"\b{name}\b", explained), f"nothing about `{name}`"


def test_there_are_public_names():
    assert len(DOCUMENTED) >= 120
