"""No op, variant, attribute or gradient without a case; what every op refuses; a floor under the number of cases."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from fastnn import _core, autodiff, kernels, ops
from fastnn.reference import forward_ops
from fastnn.tracing import Trace
from harness import CONSTANT, OP_TABLE, Case, Refused, applicable_variants, assert_house_form, execute, public, tables

OPS = sorted(OP_TABLE)
COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
OF_BOOLS = {"logical_and", "logical_or", "any", "all"}
UPDATES = {"adagrad_update", "adam_update", "lion_update", "rmsprop_update", "sgd_update"}
NOT_DIFFERENTIABLE = {"argmax", "argmin", "cache_append", "gather_rows", "one_hot", *UPDATES, *COMPARISONS, *OF_BOOLS}
# Float operands that get no gradient: their values are never read, or no loss is differentiated by its targets or masks.
NO_GRADIENT = {
    ("broadcast_like", 1),
    ("sum_to_like", 1),
    ("cross_entropy", 1),
    ("softmax_cross_entropy", 1),
    ("simple_rnn", 6),  # recurrent_mask
    ("lstm", 7),
    ("gru", 6),
}


@cache
def cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {op: [] for op in OPS}
    for module in tables().values():
        for case in module.CASES:
            found[case.op].append(case)
    return found


def size(case: Case) -> int:
    return sum(int(np.prod(o.shape)) for o in case.operands if o is not None)


def forward(op: str) -> bool:
    return op in forward_ops


def test_there_are_as_many_cases_as_ever() -> None:
    """A table that is no longer found would otherwise pass for the rest of time. Raise the floors as tables grow."""
    assert len(tables()) >= 15
    assert sum(map(len, cases().values())) >= 4000
    assert sum(len(module.REFUSED) for module in tables().values()) >= 250


def test_a_view_has_its_shape_as_attribute() -> None:
    """Binding lengths writes it there; an op that is a view has no kernels."""
    views = [op for op in OPS if not OP_TABLE[op]["variants"]]
    assert views
    for op in views:
        assert OP_TABLE[op]["required"] == ["shape"]
        with pytest.raises(TypeError, match="attribute 'shape' is missing"):
            execute(Case(op, []), [np.ones(2, np.float32)])


def test_the_reference_specifies_every_forward_op() -> None:
    assert {op for op in OPS if "_backward" not in op} == set(forward_ops)
    assert set(forward_ops) <= set(dir(ops)), "a forward op has no public function"
    assert set(forward_ops) - autodiff.differentiable_ops() == NOT_DIFFERENTIABLE


def test_there_is_a_function_for_every_kernel() -> None:
    assert set(dir(kernels)) == set(OPS)


@pytest.mark.parametrize("op", OPS)
def test_it_has_cases(op: str) -> None:
    assert cases()[op], f"{op}: no case; write some in tests/test_<stem>.py"
    shapes = {tuple(o.shape if o else None for o in case.operands) for case in cases()[op]}
    assert len(shapes) >= 5, f"{op}: cases of {len(shapes)} different shapes only"
    assert any(size(case) == 0 or 0 in s for case in cases()[op] for s in [o.shape for o in case.operands if o]), (
        f"{op}: no case with an empty operand"
    )


@pytest.mark.parametrize("op", OPS)
def test_every_dtype_is_tried(op: str) -> None:
    floats = any(case.dtypes() == ("float32", "float64") for case in cases()[op])
    assert floats or op in {"one_hot", *OF_BOOLS}, f"{op}: no case for floats"


@pytest.mark.parametrize("op", OPS)
def test_every_attribute_is_tried(op: str) -> None:
    for name, default in OP_TABLE[op]["attributes"].items():
        values = {repr(case.attributes.get(name, default)) for case in cases()[op]}
        assert len(values) >= (2 if isinstance(default, bool) or op != "cast" else 6), f"{op}: {name} is only ever {values}"
        if default is not None:
            assert any(repr(case.attributes.get(name, default)) != repr(default) for case in cases()[op])


@pytest.mark.parametrize("op", OPS)
def test_every_optional_operand_is_tried(op: str) -> None:
    for i, name in enumerate(OP_TABLE[op]["inputs"]):
        if name.endswith("?"):
            present = {i < len(case.operands) and case.operands[i] is not None for case in cases()[op]}
            assert present == {True, False}, f"{op}: {name} is always {'there' if True in present else 'left out'}"


@pytest.mark.parametrize("op", OPS)
def test_every_variant_is_tried(op: str) -> None:
    """`check` runs every variant that applies: on some ISA each must, for some case."""
    missing = set(OP_TABLE[op]["variants"])
    for case in sorted(cases()[op], key=size):
        operands = case.as_dtype(case.make_operands(), "float32")
        for isa in _core.available_isas():
            missing -= set(applicable_variants(case, operands, isa))
        if not missing:
            return
    assert not missing, f"{op}: no case to which variant {missing} applies"


@pytest.mark.parametrize("op", sorted(set(forward_ops) - NOT_DIFFERENTIABLE - CONSTANT))
def test_every_derivative_is_tried(op: str) -> None:
    tried = {i for case in cases()[op] for i in case.wrt()}
    floats = {i for case in cases()[op] for i, o in enumerate(case.operands) if o is not None and o.dtype is None}
    missing = floats - tried - {i for name, i in NO_GRADIENT if name == op}
    if op != "cast":
        assert not missing, f"{op}: no case differentiates by operand {missing}"
        assert any(0 < size(case) <= 40 for case in cases()[op] if case.wrt()), f"{op}: no case small enough to go by element"
    for name, default in OP_TABLE[op]["attributes"].items():
        values = {repr(case.attributes.get(name, default)) for case in cases()[op] if case.wrt()}
        constant = op in ("clip", "cast") or name == "slope"  # whose second result has no derivative
        assert constant or len(values) >= 2, f"{op}: {name} is only ever {values} in a derivative"


def ops_of_derivative(case: Case) -> set[str]:
    """The ops that the gradient of a case's float operands is made of."""
    operands = case.as_dtype(case.make_operands(), "float64")
    with Trace() as trace:
        inputs = [None if x is None else trace.input(f"x{i}", x.dtype.name, x.shape) for i, x in enumerate(operands)]
        result = public(case, inputs)
        ys = result if isinstance(result, list) else [result[0] if isinstance(result, tuple) else result]
        us = [trace.input(f"u{i}", y.dtype, y.shape) for i, y in enumerate(ys)]
        autodiff.backward(ys, us, [inputs[i] for i in case.wrt()])
        return {node[0] for node in trace.graph.nodes()}


def test_every_backward_op_is_part_of_a_tested_derivative() -> None:
    reached: set[str] = set()
    for op in set(forward_ops) - NOT_DIFFERENTIABLE - CONSTANT:
        smallest = sorted((c for c in cases()[op] if c.wrt()), key=size)
        # Optional operands may have gradient ops of their own.
        for case in [*smallest[:1], *sorted(smallest, key=lambda c: -sum(o is not None for o in c.operands))[:1]]:
            reached |= ops_of_derivative(case)
    assert {op for op in OPS if "_backward" in op} <= reached


# ---- What every op refuses ---------------------------------------------------------------------------------------------


def smallest(op: str) -> tuple[Case, list[Any]]:
    case = min((c for c in cases()[op] if not c.nonfinite), key=size)
    return case, case.as_dtype(case.make_operands(), "float32")


def refuses(op: str, operands: list[Any], attributes: dict[str, Any], error: type[Exception], words: str) -> None:
    Refused(op, operands, attributes, error, words).check()


@pytest.mark.parametrize("op", OPS)
def test_it_refuses_what_no_op_takes(op: str) -> None:
    case, operands = smallest(op)
    execute(case, operands)
    names = OP_TABLE[op]["inputs"]
    variadic = names[-1].endswith("...")
    first = names[0].removesuffix("?").removesuffix("...")
    refuses(op, [None, *operands[1:]], case.attributes, ValueError, f"operand `{first}` is missing")
    refuses(op, operands, {**case.attributes, "colour": 1}, TypeError, "unknown attribute 'colour'")
    if not variadic:
        refuses(
            op,
            [*operands, *[operands[0]] * (len(names) + 1 - len(operands))],
            case.attributes,
            ValueError,
            "operands; expected at most",
        )
    for bad in (operands[0].astype(np.float16), operands[0].astype(complex), np.array(["text"])):
        with pytest.raises(TypeError, match=f"{bad.dtype.name}.*; expected .*; .*"):
            _core.execute(op, [bad, *operands[1:]], case.attributes)
    if operands[0].dtype.itemsize > 1:
        swapped = operands[0].astype(operands[0].dtype.newbyteorder())
        refuses(op, [swapped, *operands[1:]], case.attributes, TypeError, "native")


@pytest.mark.parametrize("op", OPS)
def test_it_has_refusals_of_its_own(op: str) -> None:
    own = [refused for module in tables().values() for refused in module.REFUSED if refused.op == op]
    if op not in ("equal",):
        assert any(r.error is TypeError for r in own), f"{op}: no dtype that it refuses"
    assert any(r.error is ValueError for r in own) or len(OP_TABLE[op]["inputs"]) == 1, f"{op}: no shape that it refuses"


def test_outputs_that_do_not_fit_are_refused() -> None:
    x = np.ones((2, 3), np.float32)
    read_only = np.empty_like(x)
    read_only.flags.writeable = False
    for out in ([np.empty((3, 2), np.float32)], [np.empty((2, 3))], [np.empty((3, 2), np.float32).T], [read_only], []):
        with pytest.raises(ValueError, match=r"out: .*; expected .*; .*"):
            _core.execute("relu", [x], {}, out)


def test_an_unknown_op_names_its_neighbour() -> None:
    with pytest.raises(ValueError, match="did you mean 'conv2d'") as caught:
        _core.execute("conv3d", [], {})
    assert_house_form(str(caught.value), "op")


def test_results_do_take_an_operands_place() -> None:
    """What `check` relies on to test that: a program of two ops without memory in between."""
    x = np.ones((2, 3), np.float32)
    graph = _core.Graph()
    value = graph.input("x", "float32", x.shape)
    (copy,) = graph.node("maximum", [value, value], {}, "", "")
    graph.set_outputs(graph.node("relu", [copy], {}, "", ""))
    assert _core.Function(graph).describe([list(x.shape)])["arena_bytes"] == 0
