"""fastnn: neural networks that live inside other software.

    import fastnn
    from fastnn import layers

    model = fastnn.Sequential([layers.Dense(64, activation="relu", input_shape=(20,)), layers.Dense(3, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=5)

Sub-modules are imported when first used: `import fastnn` itself loads NumPy and the C++ core only.

Examples in docstrings take these as imported: `import numpy as np`, `import fastnn`, `from fastnn import layers, ops`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastnn import _core

if TYPE_CHECKING:
    from fastnn import (
        activations,
        autodiff,
        callbacks,
        datasets,
        initializers,
        kernels,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        profiling,
        saving,
        schedules,
        serialization,
        symbolic,
        text,
        training,
        utils,
    )
    from fastnn.autodiff import grad, value_and_grad
    from fastnn.layers import Input
    from fastnn.models import Model, Sequential
    from fastnn.profiling import profile
    from fastnn.saving import load_model
    from fastnn.tracing import Tensor, Variable, function
    from fastnn.utils import set_seed

__version__: str = _core.__version__

_SUBMODULES = frozenset(
    {
        "activations",
        "autodiff",
        "batches",
        "callbacks",
        "cli",
        "constraints",
        "datasets",
        "initializers",
        "kernels",
        "layers",
        "losses",
        "metrics",
        "models",
        "ops",
        "optimizers",
        "profiling",
        "reference",
        "regularizers",
        "saving",
        "serialization",
        "symbolic",
        "schedules",
        "text",
        "tracing",
        "training",
        "utils",
    }
)
_NAMES = {
    "Input": "layers",
    "Model": "models",
    "Sequential": "models",
    "Tensor": "tracing",
    "Variable": "tracing",
    "function": "tracing",
    "grad": "autodiff",
    "load_model": "saving",
    "profile": "profiling",
    "set_seed": "utils",
    "value_and_grad": "autodiff",
}

__all__ = ["__version__", "num_threads", "set_num_threads", *sorted(_SUBMODULES - {"tracing"}), *sorted(_NAMES)]


def num_threads() -> int:
    """How many threads a run may use.

    By default the CPUs this process may use (affinity and container quota), or what the environment variable
    FASTNN_NUM_THREADS says.

    Returns:
        1 to 256.

    Example:
        >>> fastnn.num_threads() >= 1
        True
    """
    return _core.num_threads()


def set_num_threads(threads: int) -> None:
    """Sets how many threads runs may use. Results have the same bits for any number.

    Args:
        threads: 1 to 256. A run has no more than there are CPUs for this process.

    Raises:
        ValueError: a number outside 1 to 256.
        TypeError: no integer.

    Example:
        >>> fastnn.set_num_threads(2)
        >>> fastnn.num_threads()
        2
    """
    import operator

    try:
        number = operator.index(None if isinstance(threads, bool) else threads)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"set_num_threads: threads={threads!r}; expected an integer; pass the number of CPUs to use") from None
    if not 1 <= number <= 256:
        raise ValueError(f"set_num_threads: threads={number}; expected 1 to 256; pass the number of CPUs to use")
    _core.set_num_threads(number)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"fastnn.{name}")
    if name in _NAMES:
        value = globals()[name] = getattr(importlib.import_module(f"fastnn.{_NAMES[name]}"), name)
        return value
    raise AttributeError(f"module 'fastnn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)


def _warn_about_environment() -> None:
    """A bad value in the environment is no reason to fail an import: the default stands, and the user is told."""
    import os
    import warnings

    isa = os.environ.get("FASTNN_ISA")
    if isa is not None and isa not in _core.available_isas():
        known = ", ".join(_core.available_isas())
        warnings.warn(f"FASTNN_ISA='{isa}'; expected one of {known}; using {_core.isa()}", RuntimeWarning, stacklevel=3)
    threads = os.environ.get("FASTNN_NUM_THREADS")
    # The core has read it; asking the core what came of it leaves no value on which the two could differ.
    if threads is not None and _core.num_threads_reason() not in ("FASTNN_NUM_THREADS", "set_num_threads"):
        warnings.warn(
            f"FASTNN_NUM_THREADS='{threads}'; expected a number from 1 to 256; using {_core.num_threads()}",
            RuntimeWarning,
            stacklevel=3,
        )


_warn_about_environment()
