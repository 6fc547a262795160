"""Copies of models with weights of their own."""

from __future__ import annotations

from typing import Any

from fastnn.models.model import Model


def clone_model(model: Any) -> Any:
    """A model of the same layers with new weights; not compiled.

    Layers are made again from their `get_config`, so that initializers draw anew. `copy.deepcopy(model)` also copies the
    weights and what the optimizer remembers. Keras's `clone_function` and `input_tensors` do not exist.

    Args:
        model: a Sequential or functional model, or a subclass whose `from_config` takes its `get_config`.

    Returns:
        A model of the same class, built if `model` is.

    Raises:
        TypeError: no model.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(3, input_shape=(4,))])
        >>> clone = fastnn.models.clone_model(model)
        >>> clone.count_params(), np.array_equal(clone.get_weights()[0], model.get_weights()[0])
        (15, False)
        >>> clone.set_weights(model.get_weights())
    """
    if not isinstance(model, Model):
        raise TypeError(f"clone_model: {model!r}; expected a model; make layers again with their from_config")
    clone: Any = type(model).from_config(model.get_config())
    if model.built and not clone.built:
        clone._build_with(list(model._inputs), model._structure)
    for (_, layer), (_, other) in zip(list(model._walk()), list(clone._walk())):
        other.auto_named, other._trainable = layer.auto_named, layer._trainable
    return clone
