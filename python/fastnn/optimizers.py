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

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import ops, schedules
from fastnn.schedules import LearningRateSchedule
from fastnn.tracing import Array, Variable, current_trace, layer_scope, read_variables, write_variables
from fastnn.utils import check_number, look_up

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "Muon", "Optimizer", "RMSprop", "get", "schedules"]

LearningRate: TypeAlias = "float | LearningRateSchedule"


class Optimizer:
    """Base class. `apply(gradients, variables)` inside a traced function records one update of all variables.

    `learning_rate` and `iterations`, the number of updates made, are Variables: changing the rate never makes a new plan, and a
    schedule is part of the program. A subclass makes its memory, one flat Variable per kind, in `_make_slots`, names it in
    `_slots` and computes in `_update`; Adagrad is the shortest example.

    Args:
        learning_rate: a finite number of at least 0, or a schedule: a function of `iterations`.
        name: for errors and the names of its Variables.
        weight_decay: at least 0, or None.
        clipnorm: above 0, or None, as the other two.
        clipvalue: see above.
        global_clipnorm: see above.
        gradient_accumulation_steps: see above.
        use_ema: see above, as for the next two.
        ema_momentum: see above.
        ema_overwrite_frequency: see above.

    Raises:
        ValueError: an option outside its range, or more than one way of clipping.

    Example:
        >>> optimizer = fastnn.optimizers.Adam()
        >>> optimizer.learning_rate = 0.25
        >>> float(optimizer.learning_rate), int(optimizer.iterations)
        (0.25, 0)
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        name: str,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ) -> None:
        self.name = name
        self._schedule = learning_rate if isinstance(learning_rate, LearningRateSchedule) else None
        first = 0.0 if isinstance(learning_rate, LearningRateSchedule) else learning_rate
        self._learning_rate = Variable(self._rate(first), name=f"{name}/learning_rate", trainable=False)
        self.iterations = Variable(np.int64(0), name=f"{name}/iterations", trainable=False)
        self.weight_decay = _optional(name, "weight_decay", weight_decay, 0.004, "a finite number >= 0, or None", 0.0)
        above_0 = "a finite number > 0, or None"
        self.clipnorm = _optional(name, "clipnorm", clipnorm, 1.0, above_0)
        self.clipvalue = _optional(name, "clipvalue", clipvalue, 0.5, above_0)
        self.global_clipnorm = _optional(name, "global_clipnorm", global_clipnorm, 1.0, above_0)
        given = {n: v for n in ("clipnorm", "clipvalue", "global_clipnorm") if (v := getattr(self, n)) is not None}
        if len(given) > 1:
            raise ValueError(f"{name}: {' and '.join(given)}; expected at most one of them; drop the others")
        steps = gradient_accumulation_steps
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 2):
            raise ValueError(
                f"{name}: gradient_accumulation_steps={steps!r}; expected an integer >= 2, or None; pass None for an update at "
                "every step"
            )
        self.gradient_accumulation_steps = None if steps is None else int(steps)
        self._gathered: Variable | None = None  # how many steps the sums below are of
        if steps is not None:
            self._gathered = Variable(np.int64(0), name=f"{name}/gathered", trainable=False)
        self._accumulators: list[Variable] = []  # sums of gradients
        self.use_ema = _flag(name, "use_ema", use_ema)
        self.ema_momentum = check_number(name, "ema_momentum", ema_momentum, 0.99, "0 <= m <= 1", lambda m: 0.0 <= m <= 1.0)
        every = ema_overwrite_frequency
        if every is not None and (isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1):
            raise ValueError(
                f"{name}: ema_overwrite_frequency={every!r}; expected an integer >= 1, or None; pass None for the end of "
                "fit only"
            )
        if not self.use_ema and (every is not None or self.ema_momentum != 0.99):
            raise ValueError(
                f"{name}: ema_momentum={ema_momentum!r}, ema_overwrite_frequency={every!r} without use_ema; expected "
                "use_ema=True with them; pass it"
            )
        self.ema_overwrite_frequency = None if every is None else int(every)
        self._averages: list[Variable] = []
        self._undecayed_names: set[str] = set()
        self._undecayed_parts: list[str] = []
        self._variables: list[Variable] = []

    @property
    def learning_rate(self) -> Variable | Array:
        """The rate; assign a number to change it, between steps too. With a schedule, what the next update will use."""
        if self._schedule is None:
            return self._learning_rate
        rate: Array = np.asarray(self._schedule(self.iterations.numpy()), np.float32)
        return rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if self._schedule is not None:
            raise TypeError(
                f"{self.name}: learning_rate={value!r} where {type(self._schedule).__name__} sets the rate; expected no "
                "assignment; make the optimizer with a number to change it by hand"
            )
        self._learning_rate.assign(self._rate(value))

    def _rate(self, value: float) -> np.float32:
        return np.float32(check_number(self.name, "learning_rate", value, 1e-3, "a finite number >= 0", lambda v: v >= 0.0))

    @property
    def variables(self) -> list[Variable]:
        """Everything the optimizer remembers."""
        gathered = [] if self._gathered is None else [self._gathered, *self._accumulators]
        return [self.iterations, self._learning_rate, *self._slots(), *gathered, *self._averages]

    @property
    def built(self) -> bool:
        """Whether it has made its slots, and knows the variables that they belong to."""
        return bool(self._variables)

    @property
    def gathers(self) -> bool:
        """Whether the next step is one for `accumulate`; if not, it is one for `apply`."""
        steps = self.gradient_accumulation_steps
        return steps is not None and self._gathered is not None and int(self._gathered) + 1 < steps

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Names variables that do not decay, such as biases. Before the first update only.

        Args:
            var_list: Variables.
            var_names: parts of names: `"bias"` excludes all variables with `bias` in their name.

        Raises:
            ValueError: after the first update. TypeError: no lists of Variables and strings.

        Example:
            >>> optimizer = fastnn.optimizers.AdamW()
            >>> optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        """
        if self._variables:
            raise ValueError(
                f"{self.name}: exclude_from_weight_decay after the first update; expected it before, because the decay of each "
                "variable is part of the program; call it when the optimizer is made"
            )
        variables, parts = list(var_list or ()), list(var_names or ())
        good = all(isinstance(v, Variable) for v in variables) and all(isinstance(part, str) and part for part in parts)
        if isinstance(var_names, str) or not good:
            raise TypeError(
                f"{self.name}: exclude_from_weight_decay(var_list={var_list!r}, var_names={var_names!r}); expected a list of "
                "Variables and a list of strings; pass for example var_names=['bias']"
            )
        self._undecayed_names.update(v.name for v in variables)
        self._undecayed_parts += [part for part in parts if part not in self._undecayed_parts]

    def rename_excluded(self, names: Mapping[str, str]) -> None:
        """Exclusions under other names of the same variables: a file has names of its own.

        Args:
            names: the new names by the old ones; others stay.
        """
        self._undecayed_names = {names.get(name, name) for name in self._undecayed_names}

    def _decay(self, variables: Sequence[Variable]) -> list[float]:
        """The weight decay of each variable, or nothing where none decays."""
        return self._decay_of(variables, self.weight_decay)

    def _decay_of(self, variables: Sequence[Variable], weight_decay: float | None) -> list[float]:
        if not weight_decay:
            return []

        def decays(name: str) -> bool:
            return name not in self._undecayed_names and not any(part in name for part in self._undecayed_parts)

        return [weight_decay if decays(v.name) else 0.0 for v in variables]

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
        accumulates = self.gradient_accumulation_steps is not None
        self._accumulators = self._one_each("accumulator", np.zeros_like) if accumulates else []
        self._averages = self._one_each("average", np.copy) if self.use_ema else []

    def _one_each(self, what: str, value: Callable[[Array], Array]) -> list[Variable]:
        slots = []
        for i, v in enumerate(read_variables(self._variables)):
            slot = Variable(value(v), name=f"{self.name}/{what}_{i}", trainable=False)
            setattr(self, f"_{what}_{i}", slot)  # what is remembered stands among the attributes
            slots.append(slot)
        return slots

    def apply(self, gradients: Sequence[Any], variables: Sequence[Variable]) -> None:
        """Records the update. Inside a trace only; the slots are made at the first call.

        Args:
            gradients: one tensor per variable, of its shape and dtype. The update is with the mean of these and of all that
                `accumulate` has added since the last one.
            variables: the same list at every call.

        Raises:
            ValueError: outside a trace, lists of different lengths, no variables, or other ones than at the first call.
        """
        self._check_step("apply", gradients, variables)
        with layer_scope(self.name):
            rate = self._learning_rate if self._schedule is None else self._schedule(self.iterations)
            rate = ops.cast(rate, variables[0].dtype)
            step = self.iterations + 1
            self.iterations.assign(step)
            gradients = self._clip(self._mean_of_steps(gradients))
            for variable, value in zip(variables, self._averaged(step, self._update(rate, step, variables, gradients))):
                variable.assign(value if variable.constraint is None else variable.constraint(value))

    def accumulate(self, gradients: Sequence[Any], variables: Sequence[Variable]) -> None:
        """Records a step without an update: the gradients are kept for the next `apply`. For optimizers with
        `gradient_accumulation_steps`; models do it, a loop of one's own has a function of each kind and asks `gathers`.

        Args:
            gradients: as for `apply`.
            variables: likewise.

        Raises:
            ValueError: as `apply`; an optimizer without `gradient_accumulation_steps`.
        """
        if self._gathered is None:
            raise ValueError(
                f"{self.name}: accumulate without gradient_accumulation_steps; expected a number of steps; pass it to the "
                "constructor"
            )
        self._check_step("accumulate", gradients, variables)
        with layer_scope(self.name):
            for total, gradient in zip(self._accumulators, gradients):
                total.assign(total + gradient)
            self._gathered.assign(self._gathered + 1)

    def _averaged(self, step: Any, values: list[Any]) -> list[Any]:
        """Adds the new weights to their averages; returns what to write into the weights."""
        if not self.use_ema:
            return values
        later = ops.greater(step, 1)  # than the first update
        for i, average in enumerate(self._averages):
            kept = ops.cast(later, average.dtype) * self.ema_momentum
            average.assign(average * kept + values[i] * (1.0 - kept))
        if self.ema_overwrite_frequency is None:
            return values
        cycles = ops.cast(step, "float64") / float(self.ema_overwrite_frequency)
        due = ops.equal(cycles, ops.floor(cycles))
        return [ops.where(due, average, value) for average, value in zip(self._averages, values)]

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Writes the moving averages into the weights, if there are any; `fit` does it at its end.

        Args:
            var_list: the variables of the updates.

        Raises:
            ValueError: other variables.
        """
        if not self.use_ema or int(self.iterations) == 0:
            return
        if [id(v) for v in var_list] != [id(v) for v in self._variables]:
            raise ValueError(
                f"{self.name}: finalize_variable_values of other variables; expected those of the updates; pass the same list"
            )
        write_variables(self._variables, read_variables(self._averages))

    def _mean_of_steps(self, gradients: Sequence[Any]) -> Sequence[Any]:
        if self._gathered is None:
            return gradients
        steps = ops.cast(self._gathered + 1, gradients[0].dtype)
        means = [(total + gradient) / steps for total, gradient in zip(self._accumulators, gradients)]
        for total in self._accumulators:
            total.assign(ops.zeros(total.shape, total.dtype))
        self._gathered.assign(0)
        return means

    def _check_step(self, what: str, gradients: Sequence[Any], variables: Sequence[Variable]) -> None:
        """Raises unless these can make a step; makes the slots at the first one."""
        if current_trace() is None:
            raise ValueError(
                f"{self.name}: {what} called outside a trace; expected to be inside fastnn.function, where the update becomes "
                "part of the step; decorate the training step with @fastnn.function"
            )
        if len(gradients) != len(variables):
            raise ValueError(
                f"{self.name}: {len(gradients)} gradients for {len(variables)} variables; expected one each; pass both lists "
                "in the same order"
            )
        if not variables:
            raise ValueError(f"{self.name}: {what} without variables; expected at least one; pass the trainable variables")
        if not self._variables:
            self.build(variables)
        if [id(v) for v in variables] != [id(v) for v in self._variables]:
            raise ValueError(
                f"{self.name}: other variables than at the first call; expected the same list, because the slots belong to it; "
                "make another optimizer for them"
            )

    def _clip(self, gradients: Sequence[Any]) -> Sequence[Any]:
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [g * _shrinking(ops.sum(ops.square(g)), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            total = ops.sum(ops.square(gradients[0]))
            for g in gradients[1:]:
                total = total + ops.sum(ops.square(g))
            factor = _shrinking(total, self.global_clipnorm)
            return [g * factor for g in gradients]
        return gradients

    def _make_slots(self, size: int, dtype: str) -> None:
        raise TypeError(f"{self.name}: has no _make_slots; expected one; override it")

    def _slot(self, what: str, size: int, dtype: str, value: float = 0.0) -> Variable:
        return Variable(np.full(size, value, dtype), name=f"{self.name}/{what}", trainable=False)

    def _slots(self) -> list[Variable]:
        return []

    def _update(self, rate: Any, step: Any, variables: Sequence[Variable], gradients: Sequence[Any]) -> list[Any]:
        raise TypeError(f"{self.name}: has no _update; expected one; override it")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal one; `from_config` does."""
        config: dict[str, Any] = {
            "learning_rate": self._schedule or float(self._learning_rate.numpy()),
            "name": self.name,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }
        if self.gradient_accumulation_steps is not None:
            config["gradient_accumulation_steps"] = self.gradient_accumulation_steps
        if self.use_ema:
            config |= {"use_ema": True, "ema_momentum": self.ema_momentum}
            config["ema_overwrite_frequency"] = self.ema_overwrite_frequency
        if self._undecayed_names or self._undecayed_parts:
            config["exclude_from_weight_decay"] = {
                "names": sorted(self._undecayed_names),
                "parts": list(self._undecayed_parts),
            }
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """An optimizer from what `get_config` returned, without its memory.

        Args:
            config: the arguments by name.
        """
        arguments = dict(config)
        excluded = arguments.pop("exclude_from_weight_decay", {})
        optimizer = cls(**arguments)
        optimizer._undecayed_names = set(excluded.get("names", ()))
        optimizer._undecayed_parts = list(excluded.get("parts", ()))
        return optimizer


def _optional(
    name: str, what: str, value: float | None, example: float, expected: str, least: float | None = None
) -> float | None:
    """None, or a finite number: at least `least`, or above 0."""
    if value is None:
        return None
    return check_number(name, what, value, example, expected, lambda v: v > 0.0 if least is None else v >= least)


def _shrinking(square: Any, norm: float) -> Any:
    """The factor that takes a vector of this squared length down to `norm`; exactly 1 where it is shorter."""
    return norm / ops.maximum(ops.sqrt(square), norm)


def _fraction(where: str, what: str, value: float, example: float) -> float:
    return check_number(where, what, value, example, f"0 <= {what} < 1", lambda b: 0.0 <= b < 1.0)


def _epsilon(where: str, value: float) -> float:
    return check_number(where, "epsilon", value, 1e-7, "a finite number > 0", lambda e: e > 0.0)


def _flag(where: str, what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{where}: {what}={value!r}; expected True or False; pass one of them")
    return value


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
        self.momentum = _fraction(name, "momentum", momentum, 0.9)
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
        self.beta_1 = _fraction(name, "beta_1", beta_1, 0.9)
        self.beta_2 = _fraction(name, "beta_2", beta_2, 0.999)
        self.epsilon = _epsilon(name, epsilon)
        self.amsgrad = _flag(name, "amsgrad", amsgrad)
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
        self.rho = _fraction(name, "rho", rho, 0.9)
        self.momentum = _fraction(name, "momentum", momentum, 0.9)
        self.epsilon = _epsilon(name, epsilon)
        self.centered = _flag(name, "centered", centered)
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
        self.epsilon = _epsilon(name, epsilon)
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
        self.beta_1 = _fraction(name, "beta_1", beta_1, 0.9)
        self.beta_2 = _fraction(name, "beta_2", beta_2, 0.99)
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
        self.adam_beta_1 = _fraction(name, "adam_beta_1", adam_beta_1, 0.9)
        self.adam_beta_2 = _fraction(name, "adam_beta_2", adam_beta_2, 0.999)
        self.adam_weight_decay = _optional(
            name, "adam_weight_decay", adam_weight_decay, 0.004, "a finite number >= 0, or None", 0.0
        )
        self.epsilon = _epsilon(name, epsilon)
        if isinstance(exclude_layers, str) or not all(isinstance(part, str) and part for part in exclude_layers or ()):
            raise TypeError(
                f"{name}: exclude_layers={exclude_layers!r}; expected a list of strings; pass for example ['logits']"
            )
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = _flag(name, "exclude_embeddings", exclude_embeddings)
        self.muon_a = check_number(name, "muon_a", muon_a, 3.4445)
        self.muon_b = check_number(name, "muon_b", muon_b, -4.7750)
        self.muon_c = check_number(name, "muon_c", muon_c, 2.0315)
        self.adam_lr_ratio = check_number(name, "adam_lr_ratio", adam_lr_ratio, 1.0, "a finite number >= 0", lambda v: v >= 0.0)
        self.momentum = _fraction(name, "momentum", momentum, 0.95)
        self.ns_steps = int(check_number(name, "ns_steps", ns_steps, 5, "an integer >= 1", lambda n: n >= 1 and n == int(n)))
        self.nesterov = _flag(name, "nesterov", nesterov)
        self.rms_rate = _optional(name, "rms_rate", rms_rate, 0.2, "a finite number > 0, or None")
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
