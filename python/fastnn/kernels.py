"""Every op of the core, forward and backward, as a function on NumPy arrays.

`fastnn.kernels.conv2d_backward_input(dy, w, image_size=(28, 28))` runs one kernel with nothing around it: no trace, no
derivative, no conversion of dtypes. Names, operands, attributes and defaults are those of the core's table; `help` on a
function shows them, `dir(fastnn.kernels)` lists them. A function returns one array, or a tuple where an op has several.

Example:
    >>> y, positions = fastnn.kernels.max_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), pool_size=(2, 2), strides=(2, 2))
    >>> fastnn.kernels.max_pool2d_backward(
    ...     np.ones_like(y), positions, image_size=(2, 2), pool_size=(2, 2), strides=(2, 2)
    ... ).ravel()
    array([0., 0., 0., 1.])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastnn import _core

_TABLE: dict[str, dict[str, Any]] = {op["name"]: op for op in _core.ops()}


def _signature(op: dict[str, Any]) -> inspect.Signature:
    kind = inspect.Parameter
    parameters = []
    for operand in op["inputs"]:
        if operand.endswith("..."):
            parameters.append(kind(operand[:-3], kind.VAR_POSITIONAL))
        elif operand.endswith("?"):
            parameters.append(kind(operand[:-1], kind.POSITIONAL_ONLY, default=None))
        else:
            parameters.append(kind(operand, kind.POSITIONAL_ONLY))
    for name, default in op["attributes"].items():
        parameters.append(kind(name, kind.KEYWORD_ONLY, default=kind.empty if name in op["required"] else default))
    return inspect.Signature(parameters)


def _make(op: dict[str, Any]) -> Callable[..., Any]:
    name = op["name"]

    def kernel(*operands: Any, **attributes: Any) -> Any:
        results = _core.execute(name, list(operands), attributes)
        return results[0] if len(results) == 1 else tuple(results)

    kernel.__name__ = kernel.__qualname__ = name
    results = ", ".join(output.removesuffix("?") for output in op["outputs"])
    kernel.__doc__ = f"{op['doc']}\n\nReturns {results}. Variants: {', '.join(op['variants']) or 'a view'}."
    kernel.__signature__ = _signature(op)  # type: ignore[attr-defined]
    return kernel


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in _TABLE:
        raise AttributeError(f"module 'fastnn.kernels' has no op '{name}'")
    function = globals()[name] = _make(_TABLE[name])
    return function


def __dir__() -> list[str]:
    return sorted(_TABLE)
