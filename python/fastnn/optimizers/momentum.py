"""SGD, Lion and Muon: steps along a momentum, its sign, or the nearest orthogonal matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.optimizers.base import LearningRate, Optimizer, flag, fraction, optional, positive_epsilon
from fastnn.tracing import Variable
from fastnn.utils import check_number


class SGD(Optimizer):
    """Stochastic gradient descent: `v = momentum v - lr g; w = w + v`; with Nesterov's momentum `w = w + momentum v - lr g`.

    Args:
        learning_rate: `lr`, default 0.01, or a schedule.
        momentum: at least 0 and below 1.
        nesterov: look ahead along the velocity; needs a momentum.
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

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        name: str = "sgd",
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
        self.momentum = fraction(name, "momentum", momentum, 0.9)
        self.nesterov = ops.optimizer.check_nesterov(name, self.momentum, nesterov)
        self._velocity: Variable | None = None

    def _make_slots(self, size: int, dtype: str) -> None:
        if self.momentum:
            self._velocity = self._slot("velocity", size, dtype)

    def _slots(self) -> list[Variable]:
        return [] if self._velocity is None else [self._velocity]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        velocity, updated = ops.sgd_update(
            rate,
            self._velocity,
            variables,
            gradients,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self._decay(variables),
        )
        if self._velocity is not None:
            self._velocity.assign(velocity)
        return updated

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class Lion(Optimizer):
    """Lion: steps of one length, along the sign of a mean of gradients.

    `w -= lr sign(m beta_1 + g (1 - beta_1)); m += (g - m)(1 - beta_2)`

    Args:
        learning_rate: `lr`, default 0.001, or a schedule; a third to a tenth of Adam's.
        beta_1: share of `m` in the step, at least 0 and below 1.
        beta_2: decay of `m`, likewise.
        name: for errors and the names of its Variables.
        weight_decay: see the module, as for the next three; three to ten times AdamW's.
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
        Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, arXiv:2302.06675.

    Example:
        >>> fastnn.optimizers.Lion(weight_decay=0.1).get_config()["beta_2"]
        0.99
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        *,
        name: str = "lion",
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
        self.beta_2 = fraction(name, "beta_2", beta_2, 0.99)
        self._m: Variable | None = None

    def _make_slots(self, size: int, dtype: str) -> None:
        self._m = self._slot("m", size, dtype)

    def _slots(self) -> list[Variable]:
        return [] if self._m is None else [self._m]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        assert self._m is not None
        m, updated = ops.lion_update(
            rate,
            self._m,
            variables,
            gradients,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            weight_decay=self._decay(variables),
        )
        self._m.assign(m)
        return updated

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}


class Muon(Optimizer):
    """Muon: matrices step along the nearest orthogonal matrix to their momentum; everything else as in AdamW.

    `m = momentum m + g; u = g + momentum m` (without Nesterov `u = m`); `w -= lr rms_rate sqrt(max(rows, columns)) o(u)`, where
    `o(u)` is u with all singular values near 1: `x = u / |u|`, then `ns_steps` times `x = a x + (b A + c A A) x` with
    `A = x x^T`.

    Args:
        learning_rate: `lr`, default 0.001, or a schedule.
        adam_beta_1: of AdamW, for variables that are no matrices or excluded.
        adam_beta_2: likewise.
        adam_weight_decay: likewise; None for none.
        epsilon: likewise.
        weight_decay: of the matrices; None for none.
        name: for errors and the names of its Variables.
        exclude_layers: parts of names of variables that AdamW updates, such as that of the last layer.
        exclude_embeddings: whether it updates those with `embedding` in their names, too.
        muon_a: of the iteration, like the next two.
        muon_b: see there.
        muon_c: see there.
        adam_lr_ratio: AdamW's rate over `lr`.
        momentum: at least 0 and below 1.
        ns_steps: how many steps the iteration has; at least 1.
        nesterov: whether u looks ahead.
        rms_rate: makes the step as long as AdamW's; None for `w -= lr o(u)`.
        clipnorm: see the module, as for the next two.
        clipvalue: see there.
        global_clipnorm: see there.
        gradient_accumulation_steps: see there.
        use_ema: see there, as for the next two.
        ema_momentum: see there.
        ema_overwrite_frequency: see there.

    Raises:
        ValueError: a parameter outside its range.

    Source:
        Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is scalable for LLM
        training", 2025, arXiv:2502.16982.

    Example:
        >>> fastnn.optimizers.Muon(exclude_layers=["logits"]).get_config()["momentum"]
        0.95
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        name: str = "muon",
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
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
        self.adam_beta_1 = fraction(name, "adam_beta_1", adam_beta_1, 0.9)
        self.adam_beta_2 = fraction(name, "adam_beta_2", adam_beta_2, 0.999)
        self.adam_weight_decay = optional(
            name, "adam_weight_decay", adam_weight_decay, 0.004, "a finite number >= 0, or None", 0.0
        )
        self.epsilon = positive_epsilon(name, epsilon)
        if isinstance(exclude_layers, str) or not all(isinstance(part, str) and part for part in exclude_layers or ()):
            raise TypeError(
                f"{name}: exclude_layers={exclude_layers!r}; expected a list of strings; pass for example ['logits']"
            )
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = flag(name, "exclude_embeddings", exclude_embeddings)
        self.muon_a = check_number(name, "muon_a", muon_a, 3.4445)
        self.muon_b = check_number(name, "muon_b", muon_b, -4.7750)
        self.muon_c = check_number(name, "muon_c", muon_c, 2.0315)
        self.adam_lr_ratio = check_number(name, "adam_lr_ratio", adam_lr_ratio, 1.0, "a finite number >= 0", lambda v: v >= 0.0)
        self.momentum = fraction(name, "momentum", momentum, 0.95)
        self.ns_steps = int(check_number(name, "ns_steps", ns_steps, 5, "an integer >= 1", lambda n: n >= 1 and n == int(n)))
        self.nesterov = flag(name, "nesterov", nesterov)
        self.rms_rate = optional(name, "rms_rate", rms_rate, 0.2, "a finite number > 0, or None")
        self._m: Variable | None = None
        self._v: Variable | None = None
        self._momentums: list[Variable | None] = []

    def _is_matrix(self, variable: Variable) -> bool:
        parts = [*self.exclude_layers, *(["embedding"] if self.exclude_embeddings else [])]
        return len(variable.shape) == 2 and variable.size > 0 and not any(part in variable.name for part in parts)

    def _make_slots(self, size: int, dtype: str) -> None:
        others = sum(v.size for v in self._variables if not self._is_matrix(v))
        self._m, self._v = self._slot("m", others, dtype), self._slot("v", others, dtype)
        self._momentums = []
        for i, variable in enumerate(self._variables):
            slot = None
            if self._is_matrix(variable):
                slot = Variable(np.zeros(variable.shape, dtype), name=f"{self.name}/momentum_{i}", trainable=False)
                setattr(self, f"_momentum_{i}", slot)  # what is remembered stands among the attributes
            self._momentums.append(slot)

    def _slots(self) -> list[Variable]:
        return [slot for slot in (self._m, self._v, *self._momentums) if slot is not None]

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        assert self._m is not None and self._v is not None
        updated: list[Any] = [None] * len(variables)
        others = [i for i, slot in enumerate(self._momentums) if slot is None]
        for i, slot in enumerate(self._momentums):
            if slot is None:
                continue
            m = slot * self.momentum + gradients[i]
            slot.assign(m)
            direction = self._orthogonal(gradients[i] + m * self.momentum if self.nesterov else m)
            length = 1.0 if self.rms_rate is None else self.rms_rate * max(variables[i].shape) ** 0.5
            (decay,) = self._decay([variables[i]]) or [0.0]
            kept = variables[i] * (1.0 - rate * decay) if decay else variables[i]
            updated[i] = kept - direction * (rate * length)
        if others:
            decayed = self._decay_of([variables[i] for i in others], self.adam_weight_decay)
            m, v, _, results = ops.adam_update(
                rate * self.adam_lr_ratio if self.adam_lr_ratio != 1.0 else rate,
                step,
                self._m,
                self._v,
                None,
                [variables[i] for i in others],
                [gradients[i] for i in others],
                beta_1=self.adam_beta_1,
                beta_2=self.adam_beta_2,
                epsilon=self.epsilon,
                # Decay goes by the rate itself, Adam's step by its share of it.
                weight_decay=[d / self.adam_lr_ratio if self.adam_lr_ratio else 0.0 for d in decayed],
            )
            self._m.assign(m)
            self._v.assign(v)
            for i, value in zip(others, results):
                updated[i] = value
        return updated

    def _orthogonal(self, u: Any) -> Any:
        x = u / (ops.sqrt(ops.sum(ops.square(u))) + 1e-7)
        tall = u.shape[0] > u.shape[1]  # then x^T x is the smaller one, and stands on the right
        for _ in range(self.ns_steps):
            square = ops.matmul(x, x, transpose_a=tall, transpose_b=not tall)
            factor = square * self.muon_b + ops.matmul(square, square) * self.muon_c
            x = x * self.muon_a + (ops.matmul(x, factor) if tall else ops.matmul(factor, x))
        return x

    def get_config(self) -> dict[str, Any]:
        own = (
            "adam_beta_1",
            "adam_beta_2",
            "adam_weight_decay",
            "epsilon",
            "exclude_layers",
            "exclude_embeddings",
            "muon_a",
            "muon_b",
            "muon_c",
            "adam_lr_ratio",
            "momentum",
            "ns_steps",
            "nesterov",
            "rms_rate",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
