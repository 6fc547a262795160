"""Adam, AdamW, RMSprop and Adagrad: steps that are divided by the root of a mean of squared gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.optimizers.base import LearningRate, Optimizer, flag, fraction, positive_epsilon
from fastnn.tracing import Variable
from fastnn.utils import check_number


class Adam(Optimizer):
    """Adam: steps along the mean of gradients over the root of the mean of their squares, both corrected for their start at 0.

    `m += (g - m)(1 - beta_1); v += (g g - v)(1 - beta_2); w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)`

    Args:
        learning_rate: `lr`, default 0.001, or a schedule.
        beta_1: decay of the mean of gradients, at least 0 and below 1.
        beta_2: decay of the mean of their squares, likewise.
        epsilon: above 0, added to the root of the uncorrected `v` as in Keras; its 1e-7, PyTorch has 1e-8.
        name: for errors and the names of its Variables.
        amsgrad: the largest `v` so far stands for `v`.
        weight_decay: see the module, as for the next four.
        clipnorm: see there.
        clipvalue: see there.
        global_clipnorm: see there.
        gradient_accumulation_steps: see there.
        use_ema: see there, as for the next two.
        ema_momentum: see there.
        ema_overwrite_frequency: see there.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980; Reddi, Kale, Kumar, "On the
        convergence of Adam and beyond", ICLR 2018.

    Example:
        >>> model = fastnn.Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
        >>> model.compile(fastnn.optimizers.Adam(0.1), loss="mse")
        >>> loss = model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
        >>> model.get_weights()[0].round(3)  # the first step is of length lr, whatever the gradient
        array([[0.9]], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        name: str = "adam",
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            name,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            gradient_accumulation_steps=gradient_accumulation_steps,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.beta_1 = fraction(name, "beta_1", beta_1, 0.9)
        self.beta_2 = fraction(name, "beta_2", beta_2, 0.999)
        self.epsilon = positive_epsilon(name, epsilon)
        self.amsgrad = flag(name, "amsgrad", amsgrad)
        self._m: Variable | None = None
        self._v: Variable | None = None
        self._v_max: Variable | None = None

    def _make_slots(self, size: int, dtype: str) -> None:
        self._m, self._v = self._slot("m", size, dtype), self._slot("v", size, dtype)
        self._v_max = self._slot("v_max", size, dtype) if self.amsgrad else None

    def _slots(self) -> list[Variable]:
        return [slot for slot in (self._m, self._v, self._v_max) if slot is not None]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        assert self._m is not None and self._v is not None
        m, v, v_max, updated = ops.adam_update(
            rate,
            step,
            self._m,
            self._v,
            self._v_max,
            variables,
            gradients,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            amsgrad=self.amsgrad,
            weight_decay=self._decay(variables),
        )
        self._m.assign(m)
        self._v.assign(v)
        if self._v_max is not None:
            self._v_max.assign(v_max)
        return updated

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return {**super().get_config(), **own}


class AdamW(Adam):
    """Adam with decoupled weight decay: `w (1 - lr weight_decay)` stands for `w` in Adam's update.

    Args:
        learning_rate: `lr`, default 0.001, or a schedule.
        weight_decay: default 0.004; `exclude_from_weight_decay` names variables that do not decay.
        beta_1: as for Adam, like what follows.
        beta_2: see there.
        epsilon: see there.
        name: see there.
        amsgrad: see there.
        clipnorm: see there.
        clipvalue: see there.
        global_clipnorm: see there.
        gradient_accumulation_steps: see there.
        use_ema: see there, as for the next two.
        ema_momentum: see there.
        ema_overwrite_frequency: see there.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, arXiv:1711.05101.

    Example:
        >>> optimizer = fastnn.optimizers.AdamW(1e-3, weight_decay=0.1)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> optimizer.weight_decay
        0.1
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        *,
        name: str = "adamw",
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            name=name,
            amsgrad=amsgrad,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            gradient_accumulation_steps=gradient_accumulation_steps,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        if self.weight_decay is None:
            raise ValueError(f"{name}: weight_decay=None; expected a finite number >= 0; use Adam for none")


class RMSprop(Optimizer):
    """RMSprop: steps along the gradient over the root of the mean of its squares.

    `v += (g g - v)(1 - rho); w -= lr g / sqrt(v + epsilon)`

    Args:
        learning_rate: `lr`, default 0.001, or a schedule.
        rho: decay of the mean of squares, at least 0 and below 1.
        momentum: the step is `momentum` times the last one plus the above; at least 0 and below 1.
        epsilon: above 0, inside the root as in Keras; PyTorch adds it to the root.
        centered: the variance of the gradients, `v` less the square of their mean, stands for `v`.
        name: for errors and the names of its Variables.
        weight_decay: see the module, as for the next four.
        clipnorm: see there.
        clipvalue: see there.
        global_clipnorm: see there.
        gradient_accumulation_steps: see there.
        use_ema: see there, as for the next two.
        ema_momentum: see there.
        ema_overwrite_frequency: see there.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Tieleman and Hinton, "RMSprop", Coursera lecture 6.5, 2012; centered: Graves, arXiv:1308.0850, 2013.

    Example:
        >>> fastnn.optimizers.RMSprop(momentum=0.9, centered=True).get_config()["rho"]
        0.9
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        *,
        name: str = "rmsprop",
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            name,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            gradient_accumulation_steps=gradient_accumulation_steps,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.rho = fraction(name, "rho", rho, 0.9)
        self.momentum = fraction(name, "momentum", momentum, 0.9)
        self.epsilon = positive_epsilon(name, epsilon)
        self.centered = flag(name, "centered", centered)
        self._v: Variable | None = None
        self._m: Variable | None = None
        self._velocity: Variable | None = None

    def _make_slots(self, size: int, dtype: str) -> None:
        self._v = self._slot("v", size, dtype)
        self._m = self._slot("m", size, dtype) if self.centered else None
        self._velocity = self._slot("velocity", size, dtype) if self.momentum else None

    def _slots(self) -> list[Variable]:
        return [slot for slot in (self._v, self._m, self._velocity) if slot is not None]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        assert self._v is not None
        *state, updated = ops.rmsprop_update(
            rate,
            self._v,
            self._m,
            self._velocity,
            variables,
            gradients,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
            centered=self.centered,
            weight_decay=self._decay(variables),
        )
        for slot, value in zip((self._v, self._m, self._velocity), state):
            if slot is not None:
                slot.assign(value)
        return updated

    def get_config(self) -> dict[str, Any]:
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return {**super().get_config(), **own}


class Adagrad(Optimizer):
    """Adagrad: steps along the gradient over the root of the sum of all its squares so far.

    `a += g g; w -= lr g / sqrt(a + epsilon)`

    Args:
        learning_rate: `lr`, default 0.001, or a schedule.
        initial_accumulator_value: what `a` begins with, at least 0.
        epsilon: above 0, inside the root as in Keras; PyTorch adds it to the root.
        name: for errors and the names of its Variables.
        weight_decay: see the module, as for the next four.
        clipnorm: see there.
        clipvalue: see there.
        global_clipnorm: see there.
        gradient_accumulation_steps: see there.
        use_ema: see there, as for the next two.
        ema_momentum: see there.
        ema_overwrite_frequency: see there.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Duchi, Hazan, Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011.

    Example:
        >>> fastnn.optimizers.Adagrad().get_config()["initial_accumulator_value"]
        0.1
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        *,
        name: str = "adagrad",
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            name,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            gradient_accumulation_steps=gradient_accumulation_steps,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.initial_accumulator_value = check_number(
            name, "initial_accumulator_value", initial_accumulator_value, 0.1, "a finite number >= 0", lambda v: v >= 0.0
        )
        self.epsilon = positive_epsilon(name, epsilon)
        self._accumulator: Variable | None = None

    def _make_slots(self, size: int, dtype: str) -> None:
        self._accumulator = self._slot("accumulator", size, dtype, self.initial_accumulator_value)

    def _slots(self) -> list[Variable]:
        return [] if self._accumulator is None else [self._accumulator]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        assert self._accumulator is not None
        accumulator, updated = ops.adagrad_update(
            rate, self._accumulator, variables, gradients, epsilon=self.epsilon, weight_decay=self._decay(variables)
        )
        self._accumulator.assign(accumulator)
        return updated

    def get_config(self) -> dict[str, Any]:
        own = {"initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}
        return {**super().get_config(), **own}
