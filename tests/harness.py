"""One check for every op: `check(case)`.

A case is an op, operands and attributes. What is right comes from `fastnn.reference` in float64, computed once; for a backward
op, whose specification is the derivative of its forward, it is the op's own float64 result on the generic ISA, which the
derivative check of the forward op has tested, with an epilogue what the op of that name makes of it. Then, for every ISA,
kernel variant, float dtype and 1, 2 and 4 threads:

- the values are those of the oracle, within a bound made of the dtype's eps and the number of roundings;
- every byte of the outputs is written (they hold NaN before) and no byte around them; NaN surrounds the operands too;
- the operands are read-only and do not change; operands that are not contiguous give the same bits, and so do operands that are
  intermediate results, in whose place the op may then write its own;
- the bits do not depend on the number of threads, nor on what the memory held before;

and in float64, for every ISA:

- <u, J v> = <J^T u, v> for a random cotangent u and three random directions v. J v is the complex-step derivative of the
  reference, J^T u what `fastnn.autodiff` makes of the backward kernels. Small cases are compared element by element. Backward
  ops that can be differentiated again are linear in every operand, which gives their J v.

What is forced (ISA, variant, threads) is asserted to have run. Comparisons read `err <= tol`, which NaN fails.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, autodiff
from fastnn.reference import forward_ops
from fastnn.tracing import apply

Array = np.ndarray[Any, np.dtype[Any]]

FLOATS = ("float32", "float64")
THREADS = (1, 2, 4) if _core.parallel_backend() != "serial" else (1,)
TEAM = THREADS[len(THREADS) // 2]
SERIAL_BELOW = 30e-6  # the core's default, in seconds; it cannot be asked
STEP = 1e-100  # of complex-step derivatives: lost beside every float32, and its square is 0
COPYABLE = ("float32", "float64", "int32", "int64")
CONSTANT = {"sign", "floor", "ceil", "round", "stop_gradient", "random_uniform"}  # whose derivative is zero
OP_TABLE: dict[str, dict[str, Any]] = {op["name"]: op for op in _core.ops()}

# ---- Operands ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operand:
    """Numbers drawn when a case runs; `dtype` None stands for the float dtype under test."""

    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator], Any]
    dtype: str | None = None

    def make(self, rng: np.random.Generator) -> Array:
        values = np.asarray(self.draw(rng))
        # Rounded to float32, so that float32 and float64 kernels and the oracle see the same numbers.
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(np.float32).astype(np.float64) if self.dtype is None else values.astype(self.dtype)


def normal(*shape: int) -> Operand:
    return Operand(shape, lambda rng: rng.standard_normal(shape))


def sparse(share: float, *shape: int) -> Operand:
    """Normal where it is not 0, as this share of it is not."""
    return Operand(shape, lambda rng: rng.standard_normal(shape) * (rng.random(shape) < share))


def uniform(low: float, high: float, *shape: int) -> Operand:
    return Operand(shape, lambda rng: rng.uniform(low, high, shape))


def nonzero(*shape: int) -> Operand:
    """0.1 to 2, every second one negative: away from the kink at 0 and from overflow in 1/x."""
    sign = np.where(np.arange(int(np.prod(shape))) % 2, -1.0, 1.0).reshape(shape)
    return Operand(shape, lambda rng: rng.uniform(0.1, 2, shape) * sign)


def distinct(*shape: int) -> Operand:
    """No two values closer than 1/64: a maximum is unique, and stays so in a derivative."""
    count = int(np.prod(shape))
    return Operand(shape, lambda rng: (rng.permutation(count).reshape(shape) - count // 2) / 64)


def probabilities(*shape: int) -> Operand:
    def draw(rng: np.random.Generator) -> Array:
        p = rng.uniform(0.05, 1, shape)
        return p / p.sum(-1, keepdims=True)

    return Operand(shape, draw)


def integers(low: int, high: int, *shape: int, dtype: str = "int64") -> Operand:
    """Integers from `low` up to and without `high`."""
    return Operand(shape, lambda rng: rng.integers(low, high, shape), dtype)


def given(values: Any, dtype: str | None = None) -> Operand:
    array = np.asarray(values)
    return Operand(array.shape, lambda _: array, dtype)


# ---- Cases -------------------------------------------------------------------------------------------------------------

# |computed - oracle| in units of eps, one per output: bound(case, operands, oracle).
Bound = Callable[["Case", list[Any], list[Array]], list[Any]]


def ulps(n: float) -> Bound:
    """n eps |y|: n roundings of a result that nothing cancels in."""
    return lambda case, operands, oracle: [n * np.abs(y) for y in oracle]


def roundings(n: float) -> Bound:
    """n eps f(|operands|): n roundings in a sum of products, relative to the sum of the terms' magnitudes."""
    return lambda case, operands, oracle: [
        n * y for y in case.evaluate([np.abs(x) if x is not None and x.dtype == np.float64 else x for x in operands])
    ]


EXACT = ulps(0)
TWO_ROUNDINGS = ulps(2)


@dataclass(frozen=True)
class Case:
    """An op on operands; None leaves an optional operand out.

    `differentiable` lists the operands whose derivative exists here (default: all that have the dtype under test).
    `nonfinite` says that the oracle has NaN or infinities, which must come out as such: "same", or "any" where only their
    places are promised.
    """

    op: str
    operands: Sequence[Operand | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    bound: Bound = TWO_ROUNDINGS
    differentiable: Sequence[int] | None = None
    nonfinite: str | None = None
    note: str = ""

    def __str__(self) -> str:
        shapes = ["x".join(map(str, o.shape)) or "()" if o else "-" for o in self.operands]
        operands = ",".join(shapes) if len(shapes) <= 12 else f"{len(shapes)}operands"
        dtypes = ",".join(sorted({o.dtype for o in self.operands if o and o.dtype}))
        attributes = ",".join(f"{k}={v}" for k, v in self.attributes.items())
        return "-".join(part for part in (self.op, operands, dtypes, attributes, self.note) if part).replace(" ", "")

    def make_operands(self) -> list[Any]:
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        return [None if o is None else o.make(rng) for o in self.operands]

    def as_dtype(self, operands: list[Any], dtype: str | None) -> list[Any]:
        """The operands with those that have no dtype of their own in this one."""
        return [
            None if o is None else x if o.dtype or dtype is None else x.astype(dtype) for o, x in zip(self.operands, operands)
        ]

    def evaluate(self, operands: list[Any]) -> list[Any]:
        """The op's results on these operands, by its specification."""
        if self.op in forward_ops:
            with np.errstate(all="ignore"):
                results = forward_ops[self.op](*operands, **self.attributes)
            return list(results) if isinstance(results, tuple) else [results]
        if epilogue := self.attributes.get("epilogue"):
            # Of a kernel that leaves out some rows a kernel that does likewise is no oracle: the op, then the epilogue's.
            without = {name: value for name, value in self.attributes.items() if name != "epilogue"}
            plain = replace(self, operands=self.operands[:-1], attributes=without)
            then = Case(epilogue, [self.operands[-1]] * 2)
            return then.evaluate([*plain.evaluate(operands[:-1]), operands[-1]])
        with forced(isa="generic", threads=1):
            return execute(self, operands)

    def dtypes(self) -> tuple[str | None, ...]:
        return FLOATS if any(o is not None and o.dtype is None for o in self.operands) else (None,)

    def wrt(self) -> list[int]:
        """The operands to differentiate by."""
        if self.nonfinite or self.op not in autodiff.differentiable_ops() or self.op in CONSTANT:
            return []
        if self.differentiable is not None:
            return list(self.differentiable)
        return [i for i, o in enumerate(self.operands) if o is not None and o.dtype is None]


# ---- Running -----------------------------------------------------------------------------------------------------------


@contextmanager
def forced(*, isa: str, threads: int, variant: tuple[str, str] | None = None) -> Iterator[None]:
    """Every run inside uses this ISA, this many threads however small it is, and this kernel variant (op, name)."""
    found = _core.isa(), _core.num_threads()
    _core._use_isa(isa)
    _core.set_num_threads(threads)
    _core._serial_below(0)
    if variant:
        _core._use_variant(*variant)
    try:
        assert _core.isa() == isa
        yield
        assert _core._last_run_threads() == threads
    finally:
        _core._use_isa(found[0])
        _core.set_num_threads(found[1])
        _core._serial_below(SERIAL_BELOW)
        if variant:
            _core._use_variant(variant[0], "")


def execute(case: Case, operands: list[Any], out: list[Array] | None = None) -> list[Array]:
    results: list[Array] = _core.execute(case.op, operands, case.attributes, out)
    return results


def planned_variant(case: Case, operands: list[Any]) -> str | None:
    """The variant that a plan of this op chooses now; None where the forced one does not apply."""
    graph = _core.Graph()
    values = [None if x is None else graph.input(f"operand {i}", x.dtype.name, x.shape) for i, x in enumerate(operands)]
    try:
        graph.set_outputs(graph.node(case.op, values, case.attributes, "", ""))
        steps = _core.Function(graph).describe([list(x.shape) for x in operands if x is not None])["steps"]
    except ValueError as error:
        if "no kernel variant" in str(error):
            return None
        raise
    return next((step["variant"] for step in steps), "")  # no step: a view, or nothing to compute


def applicable_variants(case: Case, operands: list[Any], isa: str) -> list[str | None]:
    variants: list[str | None] = []
    for name in OP_TABLE[case.op]["variants"]:
        with use(isa, case.op, name):
            planned = planned_variant(case, operands)
        if planned is not None:
            assert planned in (name, ""), f"{case.op}: asked for variant {name}, planned {planned}"
            variants.append(name)
    return variants or [None]  # a view has none


@contextmanager
def use(isa: str, op: str, variant: str) -> Iterator[None]:
    """Plans inside are for this ISA and variant; nothing need run."""
    found = _core.isa()
    _core._use_isa(isa)
    _core._use_variant(op, variant)
    try:
        yield
    finally:
        _core._use_isa(found)
        _core._use_variant(op, "")


class Guarded:
    """An array that starts off every vector's alignment, with guard bytes on both sides.

    Bytes 0xFF are NaN in both float dtypes, -1 in the signed integers, and no value of bool.
    """

    BAND = 72

    def __init__(self, shape: tuple[int, ...], dtype: Any, fill: int = 0xFF) -> None:
        self._fill = fill
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._bytes = np.full(size + 2 * self.BAND, fill, np.uint8)
        self.array: Array = self._bytes[self.BAND : self.BAND + size].view(dtype).reshape(shape)

    def assert_intact(self, what: str) -> None:
        band = np.concatenate([self._bytes[: self.BAND], self._bytes[-self.BAND :]])
        assert np.all(band == self._fill), f"{what}: wrote outside its array"


def read_only(values: Array) -> Array:
    guarded = Guarded(values.shape, values.dtype)
    guarded.array[...] = values
    guarded.array.flags.writeable = False
    return guarded.array


def scattered(values: Array) -> Array:
    """The same numbers, every second one of a larger array."""
    if values.ndim == 0:
        return values
    wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
    wide[..., ::2] = values
    return wide[..., ::2]


def run_behind_copies(case: Case, operands: list[Any], copied: Sequence[int]) -> list[Array]:
    """The op in a program that computes some of its operands, as copies, so that nobody but the op reads them."""
    graph = _core.Graph()
    values = [None if x is None else graph.input(f"operand {i}", x.dtype.name, x.shape) for i, x in enumerate(operands)]
    for i in copied:
        (values[i],) = graph.node("maximum", [values[i], values[i]], {}, "", "")
    graph.set_outputs(graph.node(case.op, values, case.attributes, "", ""))
    results: list[Array] = _core.Function(graph).run([x for x in operands if x is not None], False)
    return results


def bits(array: Array) -> bytes:
    return array.tobytes()


# ---- Comparing ---------------------------------------------------------------------------------------------------------


def assert_close(got: Array, oracle: Array, bound: Any, nonfinite: str | None, what: str) -> None:
    """|got - oracle| <= bound eps, eps being that of got's dtype."""
    assert got.shape == oracle.shape, f"{what}: shape {got.shape}, the reference has {oracle.shape}"
    if got.dtype.kind != "f":
        assert np.array_equal(got, oracle), f"{what}: differs from the reference\n{got}\n{oracle}"
        return
    limits = np.finfo(got.dtype)
    values, want = got.astype(np.float64), np.asarray(oracle, np.float64)
    bound = np.broadcast_to(np.asarray(bound, np.float64), want.shape)
    if nonfinite:
        want = np.where(np.abs(want) > float(limits.max), np.copysign(np.inf, want), want)
        special = ~np.isfinite(want)
        if nonfinite == "same":
            assert np.array_equal(values[special], want[special], equal_nan=True), f"{what}:\n{values}\n{want}"
        assert np.array_equal(~np.isfinite(values), special), f"{what}:\n{values}\n{want}"
        values, want, bound = values[~special], want[~special], bound[~special]
    assert np.all(np.isfinite(want)), f"{what}: the reference is not finite"
    err = np.abs(values - want)
    # Results below the smallest normal number are flushed to zero.
    tol = np.where(bound > 0, bound * float(limits.eps) + float(limits.tiny), 0.0)
    if not np.all(err <= tol):
        at = np.unravel_index(np.argmax(np.where(err <= tol, 0, np.nan_to_num(err - tol, nan=np.inf))), err.shape)
        raise AssertionError(
            f"{what}: {np.count_nonzero(~(err <= tol))} of {err.size} values are off; at {tuple(map(int, at))} "
            f"{values[at]!r}, the reference has {want[at]!r}, error {err[at]:.3g}, allowed {tol[at]:.3g}"
        )


def check(case: Case) -> None:
    """Runs every check on one case."""
    operands = case.make_operands()
    oracle = [np.asarray(y) for y in case.evaluate(operands)]
    finite = all(np.all(np.isfinite(y)) for y in oracle)
    assert finite == (case.nonfinite is None), f"{case}: the oracle is {'finite' if finite else 'not finite'}"
    with np.errstate(all="ignore"):
        bounds = case.bound(case, operands, oracle)
    for dtype in case.dtypes():
        check_values(case, case.as_dtype(operands, dtype), oracle, bounds)
    if case.wrt() and oracle[0].dtype.kind == "f":
        check_derivative(case, operands)


def check_values(case: Case, values: list[Any], oracle: list[Array], bounds: list[Any]) -> None:
    operands = [None if x is None else read_only(x) for x in values]
    types = [(y.shape, y.dtype) for y in case.evaluate(values)]
    for isa in _core.available_isas():
        for variant in applicable_variants(case, operands, isa):
            force = {"isa": isa, "variant": (case.op, variant) if variant else None}
            first: list[bytes] = []
            for threads, fill in [(n, 0xFF) for n in THREADS] + [(THREADS[-1], 0x7F)]:
                what = f"{case} [{isa}, {variant}, {threads} threads]"
                outputs = [Guarded(*type_, fill) for type_ in types]
                with forced(**force, threads=threads):
                    execute(case, operands, [output.array for output in outputs])
                for output, want, bound in zip(outputs, oracle, bounds):
                    output.assert_intact(what)
                    if not first:
                        assert_close(output.array, want, bound, case.nonfinite, f"{what} {output.array.dtype}")
                for operand, before in zip(operands, values):
                    assert operand is None or bits(operand) == bits(before), f"{what}: changed an operand"
                found = [bits(output.array) for output in outputs]
                first = first or found
                assert found == first, f"{what}: other bits than with {THREADS[0]} thread"
            with forced(**force, threads=TEAM):
                views = execute(case, [None if x is None else scattered(x) for x in values])
            assert [(y.shape, y.dtype) for y in views] == types
            assert [bits(y) for y in views] == first, f"{case} [{isa}, {variant}]: other bits from scattered operands"
            copyable = [i for i, x in enumerate(values) if x is not None and x.dtype.name in COPYABLE]
            for copied in [[i] for i in copyable[:4]] + [copyable]:
                with forced(**force, threads=TEAM):
                    results = run_behind_copies(case, operands, copied)
                assert [bits(y) for y in results] == first, f"{case} [{isa}, {variant}]: other bits in the place of {copied}"


# ---- Derivatives -------------------------------------------------------------------------------------------------------


def derivative_along(case: Case, operands: list[Any], direction: dict[int, Array], count: int) -> list[Array]:
    """J v of the first `count` results: the complex-step derivative of the reference along `direction`."""
    if case.op not in forward_ops:  # linear in each operand
        parts = [case.evaluate([direction[i] if i == j else x for j, x in enumerate(operands)])[:count] for i in direction]
        return [np.sum(terms, axis=0) for terms in zip(*parts)]
    moved = [x + 1j * STEP * direction[i] if i in direction else x for i, x in enumerate(operands)]
    results = [np.imag(y) / STEP for y in case.evaluate(moved)[:count]]
    assert all(np.all(np.isfinite(y)) for y in results), f"{case}: the derivative of the reference is not finite"
    return results


def inner(a: list[Array], b: list[Array]) -> tuple[float, float]:
    """<a, b>, and the sum of the magnitudes of its terms."""
    return sum(float(np.sum(x * y)) for x, y in zip(a, b)), sum(float(np.sum(np.abs(x * y))) for x, y in zip(a, b))


def check_derivative(case: Case, operands: list[Any]) -> None:
    rng = np.random.default_rng(zlib.crc32(str(case).encode()) + 1)
    wrt = case.wrt()
    present = [i for i, x in enumerate(operands) if x is not None]

    def f(*arrays: Any) -> Any:
        passed: list[Any] = [None] * len(operands)
        for i, array in zip(present, arrays):
            passed[i] = array
        return public(case, passed)

    # The public function may keep results to itself, such as max_pool2d's winners.
    outputs = f(*(operands[i] for i in present))
    values = case.evaluate(operands)[: len(outputs) if isinstance(outputs, (tuple, list)) else 1]
    u = [rng.standard_normal(y.shape) for y in values]
    directions = [{i: rng.standard_normal(operands[i].shape) for i in wrt} for _ in range(3)]
    forward = [derivative_along(case, operands, v, len(values)) for v in directions]
    empty = any(x.size == 0 for x in operands if x is not None)
    assert empty or any(np.any(y) for jv in forward for y in jv), f"{case}: the derivative is zero"
    each = element_by_element(case, operands, u) if sum(operands[i].size for i in wrt) <= 40 else None

    for isa in _core.available_isas():
        with forced(isa=isa, threads=TEAM):
            results, cotangents = autodiff.pullback(f, [operands[i] for i in present], u)
        gradient = {i: g for i, g in zip(present, cotangents)}
        for result, value in zip(results, values):
            assert result.shape == value.shape
        for v, jv in zip(directions, forward):
            left, left_scale = inner(u, jv)
            right, right_scale = inner([gradient[i] for i in wrt], [v[i] for i in wrt])
            assert abs(left - right) <= 1e-10 * (left_scale + right_scale), (
                f"{case} [{isa}]: <u, J v> = {left}, <J^T u, v> = {right}"
            )
        for i, (expected, scale) in (each or {}).items():
            err = np.abs(gradient[i] - expected)
            assert np.all(err <= 1e-10 * (scale + np.abs(gradient[i]))), (
                f"{case} [{isa}]: gradient of operand {i} is\n{gradient[i]}\nexpected\n{expected}"
            )


def public(case: Case, operands: list[Any]) -> Any:
    """The op's public function on these operands; backward ops have none."""
    if case.op in forward_ops:
        attributes = dict(case.attributes)
        if case.op == "pad":  # the table has no pairs
            attributes["paddings"] = tuple(zip(attributes["paddings"][::2], attributes["paddings"][1::2]))
        if OP_TABLE[case.op]["inputs"][0].endswith("..."):
            return getattr(fastnn.ops, case.op)(operands, **attributes)
        return getattr(fastnn.ops, case.op)(*operands, **attributes)
    return apply(case.op, operands, **case.attributes)


def element_by_element(case: Case, operands: list[Any], u: list[Array]) -> dict[int, tuple[Array, Array]]:
    """J^T u for each operand, and the magnitudes of its terms."""
    result = {}
    for i in case.wrt():
        gradient, scale = np.zeros(operands[i].shape), np.zeros(operands[i].shape)
        for at in np.ndindex(operands[i].shape):
            unit = np.zeros(operands[i].shape)
            unit[at] = 1
            gradient[at], scale[at] = inner(u, derivative_along(case, operands, {i: unit}, len(u)))
        result[i] = gradient, scale
    return result


# ---- Refusals ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused:
    """A call that must raise `error`, whose message has `words` and the house's form."""

    op: str
    operands: Sequence[Array | None]
    attributes: dict[str, Any]
    error: type[Exception]
    words: str

    def __str__(self) -> str:
        return f"{self.op}-{self.words}".replace(" ", "_")

    def check(self) -> None:
        with pytest.raises(self.error) as caught:
            _core.execute(self.op, list(self.operands), self.attributes)
        assert_house_form(str(caught.value), self.op)
        assert self.words in str(caught.value), str(caught.value)


def assert_house_form(message: str, op: str) -> None:
    """`<where>: <what came>; expected <what>; <how to fix>`."""
    parts = message.split("; ")
    assert message.startswith(f"{op}: "), message
    assert len(parts) >= 3 and parts[1].startswith("expected ") and parts[-1], message


def array(*shape: int, dtype: str = "float32") -> Array:
    return np.ones(shape, dtype)


@cache
def tables() -> dict[str, Any]:
    """The modules tests/test_<stem>.py, with their `CASES` and `REFUSED`, of all stems that the reference has."""
    stems = {function.__module__.rpartition(".")[2] for function in forward_ops.values()}
    return {stem: importlib.import_module(f"test_{stem}") for stem in sorted(stems)}
