"""What all optimizers share: the rate, clipping, decay, accumulation, moving averages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import ops
from fastnn.schedules import LearningRateSchedule
from fastnn.tracing import Array, Variable, current_trace, layer_scope, read_variables, write_variables
from fastnn.utils import check_number

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
        self.weight_decay = optional(name, "weight_decay", weight_decay, 0.004, "a finite number >= 0, or None", 0.0)
        above_0 = "a finite number > 0, or None"
        self.clipnorm = optional(name, "clipnorm", clipnorm, 1.0, above_0)
        self.clipvalue = optional(name, "clipvalue", clipvalue, 0.5, above_0)
        self.global_clipnorm = optional(name, "global_clipnorm", global_clipnorm, 1.0, above_0)
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
        self.use_ema = flag(name, "use_ema", use_ema)
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


def optional(
    name: str, what: str, value: float | None, example: float, expected: str, least: float | None = None
) -> float | None:
    """None, or a finite number: at least `least`, or above 0."""
    if value is None:
        return None
    return check_number(name, what, value, example, expected, lambda v: v > 0.0 if least is None else v >= least)


def _shrinking(square: Any, norm: float) -> Any:
    """The factor that takes a vector of this squared length down to `norm`; exactly 1 where it is shorter."""
    return norm / ops.maximum(ops.sqrt(square), norm)


def fraction(where: str, what: str, value: float, example: float) -> float:
    """A number of at least 0 and below 1."""
    return check_number(where, what, value, example, f"0 <= {what} < 1", lambda b: 0.0 <= b < 1.0)


def positive_epsilon(where: str, value: float) -> float:
    """A number above 0."""
    return check_number(where, "epsilon", value, 1e-7, "a finite number > 0", lambda e: e > 0.0)


def flag(where: str, what: str, value: Any) -> bool:
    """True or False and nothing that is like them."""
    if not isinstance(value, bool):
        raise TypeError(f"{where}: {what}={value!r}; expected True or False; pass one of them")
    return value
