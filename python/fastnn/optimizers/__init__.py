"""Optimizers: how gradients change weights.

What all of them take, as in Keras, by name:

    weight_decay      w (1 - lr weight_decay) stands for w in the update; `exclude_from_weight_decay` names exceptions
    clipvalue         every element of every gradient is kept within plus and minus this
    clipnorm          a gradient whose norm is larger is scaled down to it, each variable's by itself
    global_clipnorm   the same of all gradients together, whose norm is that of them laid end to end

At most one of the last three is given.

    gradient_accumulation_steps
                      so many steps make one update, with the mean of their gradients: a batch of that many times the size that
                      need not fit into memory. `iterations` and schedules count updates (Keras's schedules count steps), and
                      constraints hold after updates; steps left over at the end of an epoch count in the next one
    use_ema           keeps a moving average of every weight, `average = m average + (1 - m) weight` after each update with
                      m = `ema_momentum` (0 at the first); the end of `fit` writes it into the weights
    ema_overwrite_frequency
                      also after every so many updates

`learning_rate` is a number or one of `fastnn.optimizers.schedules`.
"""

from __future__ import annotations

from typing import TypeAlias

from fastnn import schedules
from fastnn.optimizers.adaptive import Adagrad, Adam, AdamW, RMSprop
from fastnn.optimizers.base import LearningRate, Optimizer
from fastnn.optimizers.momentum import SGD, Lion, Muon
from fastnn.utils import look_up

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "Muon", "Optimizer", "RMSprop", "get", "schedules"]

OptimizerLike: TypeAlias = "str | Optimizer"

_BY_NAME: dict[str, type[Optimizer]] = {
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
    "lion": Lion,
    "muon": Muon,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def get(optimizer: OptimizerLike) -> Optimizer:
    """An optimizer by name.

    Args:
        optimizer: `"adam"`, `"sgd"`, ... (the class's name in any case), or an Optimizer, which is returned as it is.

    Returns:
        An Optimizer.

    Raises:
        ValueError: a name that does not exist; the nearest ones are given.
        TypeError: neither a name nor an Optimizer.

    Example:
        >>> fastnn.optimizers.get("sgd").get_config()["momentum"]
        0.0
    """
    if isinstance(optimizer, str):
        return look_up("optimizer", optimizer.lower(), _BY_NAME)()  # type: ignore[call-arg]
    if isinstance(optimizer, Optimizer):
        return optimizer
    raise TypeError(f"optimizer: {optimizer!r}; expected a name or an Optimizer; pass for example 'adam'")
