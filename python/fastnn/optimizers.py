"""Optimizers: how gradients change weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import ops
from fastnn.tracing import Variable, current_trace, layer_scope
from fastnn.utils import check_number, look_up

__all__ = ["SGD", "Adam", "Optimizer", "get"]


class Optimizer:
    """Base class. `apply(gradients, variables)` inside a traced function records one update of all variables.

    `learning_rate` and `iterations`, the number of updates made, are Variables: changing the rate never makes a new plan. A
    subclass makes its memory, one flat Variable per kind, in `_make_slots`, names it in `_slots` and computes in `_update`;
    SGD is the shortest example.

    Args:
        learning_rate: a finite number of at least 0.
        name: for errors and the names of its Variables.

    Raises:
        ValueError: a learning rate that is none.

    Example:
        >>> optimizer = fastnn.optimizers.Adam()
        >>> optimizer.learning_rate = 0.25
        >>> float(optimizer.learning_rate), int(optimizer.iterations)
        (0.25, 0)
    """

    def __init__(self, learning_rate: float, name: str) -> None:
        self.name = name
        self._learning_rate = Variable(self._rate(learning_rate), name=f"{name}/learning_rate", trainable=False)
        self.iterations = Variable(np.int64(0), name=f"{name}/iterations", trainable=False)
        self._variables: list[Variable] = []

    @property
    def learning_rate(self) -> Variable:
        """The rate; assign a number to change it, between steps too."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate.assign(self._rate(value))

    def _rate(self, value: float) -> np.float32:
        return np.float32(check_number(self.name, "learning_rate", value, 1e-3, "a finite number >= 0", lambda v: v >= 0.0))

    @property
    def variables(self) -> list[Variable]:
        """Everything the optimizer remembers."""
        return [self.iterations, self._learning_rate, *self._slots()]

    @property
    def built(self) -> bool:
        """Whether it has made its slots, and knows the variables that they belong to."""
        return bool(self._variables)

    def build(self, variables: Sequence[Variable]) -> None:
        """Makes the slots for these variables; the first `apply` does it.

        Args:
            variables: float Variables of one dtype.

        Raises:
            TypeError: a Variable that is no float.
        """
        for variable in variables:
            if not variable.dtype.startswith("float"):
                raise TypeError(f"{self.name}: variable '{variable.name}' is {variable.dtype}; expected a float; leave it out")
        self._variables = list(variables)
        self._make_slots(sum(v.size for v in variables), variables[0].dtype if variables else "float32")

    def apply(self, gradients: Sequence[Any], variables: Sequence[Variable]) -> None:
        """Records the update. Inside a trace only; the slots are made at the first call.

        Args:
            gradients: one tensor per variable, of its shape and dtype.
            variables: the same list at every call.

        Raises:
            ValueError: outside a trace, lists of different lengths, no variables, or other ones than at the first call.
        """
        if current_trace() is None:
            raise ValueError(
                f"{self.name}: apply called outside a trace; expected to be inside fastnn.function, where the update becomes "
                "part of the step; decorate the training step with @fastnn.function"
            )
        if len(gradients) != len(variables):
            raise ValueError(
                f"{self.name}: {len(gradients)} gradients for {len(variables)} variables; expected one each; pass both lists "
                "in the same order"
            )
        if not variables:
            raise ValueError(f"{self.name}: apply without variables; expected at least one; pass the trainable variables")
        if not self._variables:
            self.build(variables)
        if [id(v) for v in variables] != [id(v) for v in self._variables]:
            raise ValueError(
                f"{self.name}: other variables than at the first call; expected the same list, because the slots belong to it; "
                "make another optimizer for them"
            )
        with layer_scope(self.name):
            rate = ops.cast(self._learning_rate, variables[0].dtype)
            step = self.iterations + 1
            self.iterations.assign(step)
            for variable, value in zip(variables, self._update(rate, step, variables, gradients)):
                variable.assign(value)

    def _make_slots(self, size: int, dtype: str) -> None:
        raise TypeError(f"{self.name}: has no _make_slots; expected one; override it")

    def _slots(self) -> list[Variable]:
        return []

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        raise TypeError(f"{self.name}: has no _update; expected one; override it")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal one; `from_config` does."""
        return {"learning_rate": float(self._learning_rate.numpy()), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """An optimizer from what `get_config` returned, without its memory.

        Args:
            config: the arguments by name.
        """
        return cls(**config)


class SGD(Optimizer):
    """Stochastic gradient descent: `v = momentum v - lr g; w = w + v`; with Nesterov's momentum `w = w + momentum v - lr g`.

    Args:
        learning_rate: `lr`, default 0.01.
        momentum: at least 0 and below 1.
        nesterov: look ahead along the velocity; needs a momentum.
        name: for errors and the names of its Variables.

    Raises:
        ValueError: a parameter outside its range; nesterov without momentum, as PyTorch (Keras computes plain descent).

    Source:
        Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.

    Example:
        >>> w, optimizer = fastnn.Variable(np.ones(2)), fastnn.optimizers.SGD(0.25)
        >>> @fastnn.function
        ... def step():
        ...     loss, gradients = fastnn.value_and_grad(lambda: ops.sum(ops.square(w)), variables=[w])()
        ...     optimizer.apply(gradients, [w])
        ...     return loss
        >>> float(step()), w.numpy()
        (2.0, array([0.5, 0.5]))
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False, name: str = "sgd") -> None:
        super().__init__(learning_rate, name)
        self.momentum = check_number(name, "momentum", momentum, 0.9, "0 <= momentum < 1", lambda m: 0.0 <= m < 1.0)
        self.nesterov = ops.optimizer.check_nesterov(name, self.momentum, nesterov)
        self._velocity: Variable | None = None

    def _make_slots(self, size: int, dtype: str) -> None:
        if self.momentum:
            self._velocity = Variable(np.zeros(size, dtype), name=f"{self.name}/velocity", trainable=False)

    def _slots(self) -> list[Variable]:
        return [] if self._velocity is None else [self._velocity]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        velocity, updated = ops.sgd_update(
            rate, self._velocity, variables, gradients, momentum=self.momentum, nesterov=self.nesterov
        )
        if self._velocity is not None:
            self._velocity.assign(velocity)
        return updated

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Adam: steps along the mean of gradients over the root of the mean of their squares, both corrected for their start at 0.

    `m += (g - m)(1 - beta_1); v += (g g - v)(1 - beta_2); w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)`

    Args:
        learning_rate: `lr`, default 0.001.
        beta_1: decay of the mean of gradients, at least 0 and below 1.
        beta_2: decay of the mean of their squares, likewise.
        epsilon: above 0, added to the root of the uncorrected `v` as in Keras; its 1e-7, PyTorch has 1e-8.
        name: for errors and the names of its Variables.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
        >>> model.compile(fastnn.optimizers.Adam(0.1), loss="mse")
        >>> loss = model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
        >>> model.get_weights()[0].round(3)  # the first step is of length lr, whatever the gradient
        array([[0.9]], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "adam",
    ) -> None:
        super().__init__(learning_rate, name)
        self.beta_1 = check_number(name, "beta_1", beta_1, 0.9, "0 <= beta_1 < 1", lambda b: 0.0 <= b < 1.0)
        self.beta_2 = check_number(name, "beta_2", beta_2, 0.999, "0 <= beta_2 < 1", lambda b: 0.0 <= b < 1.0)
        self.epsilon = check_number(name, "epsilon", epsilon, 1e-7, "a finite number > 0", lambda e: e > 0.0)
        self._m: Variable | None = None
        self._v: Variable | None = None

    def _make_slots(self, size: int, dtype: str) -> None:
        self._m = Variable(np.zeros(size, dtype), name=f"{self.name}/m", trainable=False)
        self._v = Variable(np.zeros(size, dtype), name=f"{self.name}/v", trainable=False)

    def _slots(self) -> list[Variable]:
        return [] if self._m is None or self._v is None else [self._m, self._v]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        assert self._m is not None and self._v is not None
        m, v, updated = ops.adam_update(
            rate,
            step,
            self._m,
            self._v,
            variables,
            gradients,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )
        self._m.assign(m)
        self._v.assign(v)
        return updated

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


OptimizerLike: TypeAlias = "str | Optimizer"

_BY_NAME: dict[str, type[Optimizer]] = {"adam": Adam, "sgd": SGD}


def get(optimizer: OptimizerLike) -> Optimizer:
    """An optimizer by name.

    Args:
        optimizer: `"adam"` or `"sgd"`, in any case, or an Optimizer, which is returned as it is.

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
