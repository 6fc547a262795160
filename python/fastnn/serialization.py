"""Objects as JSON and back: layers, optimizers, losses, metrics, initializers, functions, by class and configuration.

An object is `{"class": "layers.Dense", "config": {...}}`, where the configuration is what `get_config` returned and may hold
further objects; a function of the user's is `{"function": "name"}`. Only the library's own classes are found by name: a file
can name nothing else, and no module is imported because a file says so. Classes and functions of the user's own are
`custom_objects`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.losses import FunctionLoss
from fastnn.utils import unknown_name

__all__ = ["Decoder", "Encoder"]

# Where the library's own classes are. A class is named with its module: there is a loss and a metric MeanSquaredError.
_MODULES = ("constraints", "initializers", "layers", "losses", "metrics", "models", "optimizers", "regularizers", "schedules")
# A dict with one of these keys could be taken for what they mark; it goes into a {"dict": ...}.
_MARKS = frozenset({"class", "function", "float", "dict"})


class Encoder:
    """Turns objects into JSON values. `custom_objects` collects the user's own classes and functions on the way.

    Example:
        >>> fastnn.serialization.Encoder().encode(fastnn.initializers.Constant(2.0), "an example")
        {'class': 'initializers.Constant', 'config': {'value': 2.0}}
    """

    def __init__(self) -> None:
        self.custom_objects: dict[str, Any] = {}

    def encode(self, value: Any, where: str) -> Any:
        """None, bool, int, float, str, and lists and dicts of them, for a value.

        Args:
            value: an object with `get_config`, a function, a plain value, or nested tuples, lists and dicts of such.
            where: what it is, for errors.

        Raises:
            TypeError: something that has no such form. ValueError: an integer beyond 64 bits, two custom objects of one name.
        """
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, (int, np.integer)):
            if not -(2**63) <= value < 2**63:
                raise ValueError(f"{where}: {value}; expected an integer of 64 bits; use a smaller one")
            return int(value)
        if isinstance(value, (float, np.floating)):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        if isinstance(value, (tuple, list)):
            return [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, dict):
            return self._dict(value, where)
        if isinstance(value, FunctionLoss):
            value = value.function
        if isinstance(value, type):
            raise TypeError(f"{where}: the class {value.__name__}; expected an object; return objects from get_config")
        if callable(getattr(value, "get_config", None)):
            return self._object(value, where)
        if callable(value) and hasattr(value, "__name__"):
            return {"function": self._custom(value.__name__, value, where)}
        raise TypeError(
            f"{where}: {value!r}; expected a plain value, a function or an object with get_config; let get_config return only "
            "those, also in tuples, lists and dicts"
        )

    def _dict(self, value: dict[Any, Any], where: str) -> Any:
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{where}: a dict with the keys {list(value)}; expected strings; name the values by strings")
        items = {key: self.encode(item, f"{where}.{key}") for key, item in value.items()}
        return items if _MARKS.isdisjoint(items) else {"dict": items}

    def _object(self, value: Any, where: str) -> Any:
        kind = type(value)
        name = next((f"{m}.{kind.__name__}" for m in _MODULES if _own(m, kind.__name__) is kind), None)
        return {
            "class": name or self._custom(kind.__name__, kind, where),
            "config": {key: self.encode(item, f"{where}.{key}") for key, item in value.get_config().items()},
        }

    def _custom(self, name: str, value: Any, where: str) -> str:
        if self.custom_objects.setdefault(name, value) is not value:
            raise ValueError(f"{where}: two custom objects named {name}; expected different names; rename one of them")
        return name


class Decoder:
    """The inverse of `Encoder.encode`.

    Args:
        where: what the values come from, for errors; for example a file.
        custom_objects: the user's own classes and functions by name.

    Example:
        >>> fastnn.serialization.Decoder("an example").decode({"class": "initializers.Constant", "config": {"value": 2.0}})
        Constant(value=2.0)
    """

    def __init__(self, where: str, custom_objects: Mapping[str, Any] | None = None) -> None:
        self._where = where
        self._custom = dict(custom_objects or {})

    def decode(self, value: Any) -> Any:
        """The value that was encoded; tuples have become lists.

        Args:
            value: what `encode` returned, or came out of a file.

        Raises:
            ValueError: a class or function that does not exist, or a configuration that its class does not take.
        """
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"class", "config"} and isinstance(value["config"], dict):
            return self._object(value["class"], value["config"])
        if value.keys() == {"function"}:
            return self._find(value["function"])
        if value.keys() == {"float"} and value["float"] in ("nan", "inf", "-inf"):
            return float(value["float"])
        if value.keys() == {"dict"} and isinstance(value["dict"], dict):
            value = value["dict"]
        return {key: self.decode(item) for key, item in value.items()}

    def _object(self, name: Any, config: dict[str, Any]) -> Any:
        module, _, kind_name = name.rpartition(".") if isinstance(name, str) else ("", "", name)
        kind = _own(module, kind_name) if module in _MODULES else self._find(name)
        if kind is None:
            raise unknown_name(f"{self._where}: class", name, [f"{m}.{n}" for m in _MODULES for n in _classes(m)])
        try:
            return kind.from_config({key: self.decode(item) for key, item in config.items()})
        except TypeError as error:
            raise ValueError(
                f"{self._where}: {name} does not take its configuration ({error}); expected the arguments of its constructor; "
                "let get_config return those"
            ) from error

    def _find(self, name: Any) -> Any:
        if not isinstance(name, str) or name not in self._custom:
            raise ValueError(
                f"{self._where}: {name!r} is not part of fastnn; expected it among the custom objects; pass "
                f"custom_objects={{{name!r}: {name}}}"
            )
        return self._custom[name]


def _classes(module: str) -> dict[str, Any]:
    found = importlib.import_module(f"fastnn.{module}")
    return {name: thing for name in found.__all__ if isinstance(thing := getattr(found, name), type)}


def _own(module: str, name: str) -> Any:
    kind = _classes(module).get(name)
    return kind if hasattr(kind, "from_config") else None
