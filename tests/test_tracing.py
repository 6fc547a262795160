"""Tracing: what is recorded, what is refused, what is keyed."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops
from fastnn.autodiff import backward
from fastnn.tracing import Trace, as_tensor, flatten, unflatten


def test_ops_run_on_arrays_outside_a_trace():
    y = ops.relu(np.array([-1.0, 2.0], np.float32))
    assert type(y) is np.ndarray
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [0.0, 2.0])


def test_a_function_traces_once_per_kind_of_arguments():
    traces = []

    @fastnn.function
    def f(x, factor):
        traces.append(x.shape)
        return x * factor

    x = np.ones((2, 3), np.float32)
    for factor, expected in ((2, 1), (2, 1), (3, 2), (2.0, 3)):
        np.testing.assert_array_equal(f(x, factor), x * factor)
        assert len(traces) == expected
    f(np.ones((4, 3), np.float32), 2)
    assert len(traces) == 4
    f(x.astype(np.float64), 2)
    assert len(traces) == 5


def test_named_axes_do_not_trace_again():
    traces = []

    @fastnn.function(shapes=[("batch", 3), ("batch",)])
    def f(x, y):
        traces.append(x.shape)
        return ops.sum(x, axes=1) + y

    for n in (1, 5, 0, 32):
        assert f(np.ones((n, 3)), np.ones(n)).shape == (n,)
    assert len(traces) == 1
    with pytest.raises(ValueError, match=r"batch is 2 here and 3 in another input"):
        f(np.ones((3, 3)), np.ones(2))
    with pytest.raises(ValueError, match=r"shape \(3, 4\); expected \('batch', 3\)"):
        f(np.ones((3, 4)), np.ones(3))


def test_nested_arguments_and_results():
    f = fastnn.function(lambda tree, scale: {"sum": tree["a"] + tree["b"][0], "rest": (tree["b"][1], scale, None)})
    a, b, c = (np.full(2, float(i)) for i in (1, 2, 3))
    result = f({"a": a, "b": [b, c]}, scale=7)
    np.testing.assert_array_equal(result["sum"], a + b)
    np.testing.assert_array_equal(result["rest"][0], c)
    assert result["rest"][1:] == (7, None)


def test_flatten_round_trip():
    tree = ({"b": 1, "a": [2, (3,)]}, [], 4)
    leaves, structure = flatten(tree)
    assert unflatten(structure, leaves) == tree


class Parameters(NamedTuple):
    w: object
    b: object


def test_named_tuples_keep_their_type():
    f = fastnn.function(lambda p: (Parameters(p.w + 1, p.b), {"of": p}))
    result, rest = f(Parameters(np.ones(2), 3))
    assert type(result) is type(rest["of"]) is Parameters
    np.testing.assert_array_equal(result.w, [2.0, 2.0])
    assert result.b == 3
    gradient = fastnn.grad(lambda p: ops.sum(p.w * p.b))(Parameters(np.ones(2), np.full(2, 3.0)))
    assert type(gradient) is Parameters
    np.testing.assert_array_equal(gradient.w, [3.0, 3.0])


def test_other_containers_become_plain_ones():
    class Stack(list):
        pass

    stack, ordered = fastnn.function(lambda *trees: trees)(Stack([np.ones(2)]), OrderedDict(b=1, a=2))
    assert type(stack) is list
    assert type(ordered) is dict
    assert ordered == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({1, 2}, "step: an argument of type set; expected arrays, .*; convert it, for example a set to a frozenset"),
        ({"options": bytearray(b"a")}, "step: an argument of type bytearray; expected"),
        ({1: 2, "a": 3}, "nested arguments: a dict with the keys 1, 'a'; expected keys with an order, .*; use strings"),
    ],
)
def test_arguments_that_cannot_be_a_key(argument, message):
    @fastnn.function
    def step(x, options):
        return x

    with pytest.raises(TypeError, match=message):
        step(np.ones(2), argument)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fastnn.function(3),
        lambda: fastnn.function(ops.relu, shapes="batch"),
        lambda: fastnn.function(ops.relu, shapes=[3]),
        lambda: fastnn.function(ops.relu, shapes=[(2.5,)]),
        lambda: fastnn.grad(3),
        lambda: fastnn.grad(ops.sum, argnums="a"),
        lambda: fastnn.value_and_grad(ops.sum, argnums=(0, None)),
    ],
)
def test_what_is_no_function(make):
    with pytest.raises(TypeError, match=r"; expected .*; "):
        make()


def test_any_keyword_belongs_to_the_user():
    f = fastnn.function(lambda x, *, commit, self: x * commit + self)
    np.testing.assert_array_equal(f(np.ones(2), commit=3, self=1), [4.0, 4.0])
    np.testing.assert_array_equal(f.compute(np.ones(2), commit=3, self=1), [4.0, 4.0])
    assert f.describe(np.ones(2), commit=3, self=1)["steps"]


def test_traces_are_dropped_from_the_oldest_on():
    traces = []

    @fastnn.function
    def f(x, factor):
        traces.append(factor)
        return x * factor

    x = np.ones(2)
    for factor in range(64):
        f(x, factor)
    f(x, 0)  # now 1 is what was not used for longest
    assert traces == list(range(64))
    f(x, 64)
    f(x, 0)
    assert traces == list(range(65))
    np.testing.assert_array_equal(f(x, 1), x)
    assert traces == [*range(65), 1]


def test_a_trace_that_is_dropped_while_it_runs_runs_on():
    f = fastnn.function(lambda x, factor: ops.sum(ops.exp(ops.tanh(x)) * factor))
    x = np.linspace(0.0, 1.0, 100_000)
    expected = [f(x, factor) for factor in range(3)]
    wrong = []

    def work(factor):
        for i in range(100):
            f(np.ones(2), 1000.0 * factor + i)  # drops what the other threads run
            if f(x, factor) != expected[factor]:
                wrong.append(factor)

    workers = [threading.Thread(target=work, args=(factor,)) for factor in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize(
    ("misuse", "instead"),
    [
        (lambda t: bool(t), "where"),
        (lambda t: int(t), "cast"),
        (lambda t: float(t), "cast"),
        (lambda t: np.exp(t), "fastnn.ops"),
        (lambda t: np.sum(t), "fastnn.ops"),
        (lambda t: np.asarray(t), "fastnn.ops"),
        (lambda t: list(t), "fastnn.ops"),
        (lambda t: [1, 2, 3][t], "ops.take"),
        (lambda t: len(t), ".shape"),
        (lambda t: t > 1, "greater"),
        (lambda t: t == 1, "equal"),
    ],
)
def test_a_tensor_has_no_numbers(misuse, instead):
    with pytest.raises(TypeError, match=instead):
        fastnn.function(misuse)(np.ones(2, np.float32))


def test_arrays_meet_tensors_on_either_side():
    x = np.array([1.0, 2.0], np.float32)
    f = fastnn.function(
        lambda t: (x - t, t - x, x / (t + 1), x @ ops.matmul(ops.reshape(t, (2, 1)), np.ones((1, 2), np.float32)))
    )
    with pytest.raises(ValueError, match="at least 2 axes"):
        f(x)
    g = fastnn.function(lambda t: (x - t, t - x, 2 / t, -t))
    for got, expected in zip(g(x * 3), (x - x * 3, x * 3 - x, 2 / (x * 3), -(x * 3))):
        np.testing.assert_allclose(got, expected)


def test_captured_arrays_are_constants_up_to_a_megabyte():
    small, large = np.ones(10, np.float32), np.ones(300_000, np.float32)
    np.testing.assert_array_equal(fastnn.function(lambda x: x + small)(small), small + small)
    with pytest.raises(ValueError, match=r"pass it as an argument or make it a fastnn\.Variable"):
        fastnn.function(lambda x: x + large)(large)


def test_tensors_do_not_escape():
    kept = []
    fastnn.function(lambda x: kept.append(x))(np.ones(2))
    with pytest.raises(TypeError, match="used outside the trace"):
        ops.relu(kept[0])
    with pytest.raises(ValueError, match="another trace"):
        fastnn.function(lambda x: x + kept[0])(np.ones(2))


def test_python_numbers_are_weak():
    for dtype in ("float32", "float64"):
        assert fastnn.function(lambda x: x * 2 + 0.5)(np.ones(2, dtype)).dtype == dtype
    with pytest.raises(TypeError, match="same dtype"):
        ops.add(np.ones(2, np.float32), np.ones(2, np.float64))


@pytest.mark.parametrize(("array", "number"), [("int64", 0.5), ("uint8", -1), ("uint8", 256), ("bool", 2), ("int32", np.inf)])
def test_python_numbers_that_an_integer_dtype_does_not_hold(array, number):
    x = np.ones(2, array)
    with pytest.raises(TypeError, match="expected a number that"):
        ops.equal(x, number)
    with pytest.raises(TypeError, match="expected a number that"):
        fastnn.function(lambda t: ops.equal(t, number))(x)
    with pytest.raises(TypeError, match="expected a number that"):
        fastnn.Variable(x).assign(number)
    np.testing.assert_array_equal(ops.equal(x, 1.0), [True, True])


def test_another_variable_is_another_trace():
    f = fastnn.function(lambda x, v: x * v)
    for i in range(8):
        variable = fastnn.Variable(float(i))
        assert f(np.float32(1.0), variable) == i
        del variable
        gc.collect()


def test_zero_and_minus_zero_are_different_constants():
    f = fastnn.function(lambda x, c: x / c)
    assert f(np.float32(1.0), 0.0) == np.inf
    assert f(np.float32(1.0), -0.0) == -np.inf


def test_an_empty_batch_keeps_its_shape_through_reshape():
    f = fastnn.function(lambda x: ops.reshape(x, (x.shape[0] * 2, -1)), shapes=[("batch", 6)])
    assert f(np.ones((2, 6))).shape == (4, 3)
    assert f(np.ones((0, 6))).shape == (0, 3)


def test_shapes_that_overflow():
    with pytest.raises(ValueError, match="2\\^63"):
        fastnn.function(lambda x: ops.reshape(x, (1 << 62, 4)))(np.ones(0))
    with pytest.raises((MemoryError, ValueError)):
        ops.relu(np.broadcast_to(np.float32(0), (1 << 42,)))


def test_misaligned_arrays():
    x = np.frombuffer(bytearray(b"\0" + np.arange(10, dtype=np.float32).tobytes()), np.float32, 10, 1)
    np.testing.assert_array_equal(ops.relu(x), np.arange(10))


def test_the_core_checks_values_of_a_graph():
    graph = _core.Graph()
    for call in (lambda: graph.shape(0), lambda: graph.dtype(-1), lambda: graph.set_outputs([3])):
        with pytest.raises(ValueError, match="value"):
            call()
    for bad in (lambda: graph.variable(None), lambda: graph.node("relu", [None], {}, "", "")):
        with pytest.raises((TypeError, ValueError)):
            bad()
    with pytest.raises(ValueError, match="single symbols"):
        graph.input("x", "float32", (_core.Extent("b") * 2,))


def test_errors_come_at_the_line_that_made_them():
    with Trace() as trace:
        x = trace.input("x", "float32", (_core.Extent("batch"), 4))
        with pytest.raises(ValueError, match=r"dense: `x` has shape \(batch, 4\) and `w` \(3, 2\)"):
            ops.dense(x, np.ones((3, 2), np.float32))
        with pytest.raises(ValueError, match="symbolic length batch"):
            int(x.shape[0])


def test_extents_are_products():
    batch, time = _core.Extent("batch"), _core.Extent("time")
    assert batch * 2 == 2 * batch
    assert repr(time * 2 * batch) == "2*batch*time"
    assert batch * time == time * batch
    assert hash(batch * time) == hash(time * batch)
    assert batch * 0 == 0
    assert batch != time


def test_op_names_are_suggested():
    with pytest.raises(ValueError, match="did you mean 'conv2d'"):
        _core.execute("conv2", [], {})
    with pytest.raises(AttributeError):
        _ = fastnn.kernels.conv2
    with pytest.raises(TypeError, match="unknown attribute 'stride'"):
        fastnn.kernels.conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), stride=(1, 1))


@pytest.mark.parametrize("bad", [[1.0, 2.0], "abc", np.array(["a"]), np.array([1 + 2j]), np.array([object()])])
def test_operands_that_are_no_numeric_arrays(bad):
    with pytest.raises(TypeError):
        ops.relu(bad)


def test_big_endian_arrays_are_refused_by_name():
    with pytest.raises(TypeError, match="native"):
        ops.relu(np.ones(2, ">f4"))


def test_non_contiguous_and_read_only_operands():
    x = np.arange(12.0).reshape(3, 4)
    x.flags.writeable = False
    np.testing.assert_array_equal(ops.relu(x.T), x.T)
    np.testing.assert_array_equal(ops.relu(x[:, ::2]), x[:, ::2])


class TestGradients:
    def test_value_and_grad_of_arrays(self):
        f = fastnn.value_and_grad(lambda x, y: ops.sum(x * x * y), argnums=(0, 1))
        x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
        value, (dx, dy) = f(x, y)
        assert value == 19.0
        np.testing.assert_allclose(dx, 2 * x * y)
        np.testing.assert_allclose(dy, x * x)

    def test_nested_arguments(self):
        parameters = {"w": np.ones((2, 3)), "b": np.zeros(3)}
        gradient = fastnn.grad(lambda p, x: ops.mean(ops.square(ops.dense(x, p["w"], p["b"]))))(parameters, np.ones((4, 2)))
        assert gradient["w"].shape == (2, 3)
        np.testing.assert_allclose(gradient["b"], np.full(3, 2 * 2 / 3))

    def test_variables(self):
        w = fastnn.Variable(np.array([2.0, 3.0]), name="w")
        value, (dw,) = fastnn.value_and_grad(lambda x: ops.sum(w * w * x), variables=[w])(np.array([1.0, 10.0]))
        assert value == 94.0
        np.testing.assert_allclose(dw, [4.0, 60.0])

    def test_second_derivative(self):
        cube = lambda x: ops.sum(x * x * x)  # noqa: E731
        second = fastnn.grad(lambda x: ops.sum(fastnn.grad(cube)(x)))
        np.testing.assert_allclose(second(np.array([1.0, 2.0])), [6.0, 12.0])

    def test_zero_where_nothing_depends(self):
        gradient = fastnn.grad(lambda x, y: ops.sum(x), argnums=1)(np.ones(2), np.ones(3))
        np.testing.assert_array_equal(gradient, np.zeros(3))

    def test_a_tensor_used_twice_gets_the_sum(self):
        np.testing.assert_allclose(fastnn.grad(lambda x: ops.sum(x + x * x))(np.array([3.0])), [7.0])

    def test_only_the_argument_counts(self):
        x = np.array([3.0, 5.0])
        inside = fastnn.function(lambda x: fastnn.grad(lambda a: ops.sum(a * x))(x))
        np.testing.assert_array_equal(inside(x), x)
        both = fastnn.function(lambda x: fastnn.grad(lambda a, b: ops.sum(a * b), argnums=(0, 1))(x, x))
        np.testing.assert_array_equal(both(x)[0], x)
        w = fastnn.Variable(x)
        np.testing.assert_array_equal(fastnn.grad(lambda a: ops.sum(a * w))(w), x)

    def test_by_probabilities_inside_a_trace(self):
        labels = np.array([0, 1])

        @fastnn.function
        def f(z):
            p = ops.softmax(z)
            return p, fastnn.grad(lambda q: ops.sum(ops.sparse_cross_entropy(q, labels)))(p)

        p, gradient = f(np.array([[1.0, 2.0], [0.5, 0.0]]))
        np.testing.assert_allclose(gradient, -np.eye(2)[labels] / p, rtol=1e-12)

    @pytest.mark.parametrize("fused_before", [False, True])
    @pytest.mark.parametrize("sparse", [True, False])
    def test_by_probabilities_that_fusion_reads_past(self, sparse, fused_before):
        labels = np.array([0, 1])
        targets = np.eye(2)[labels]

        @fastnn.function
        def f(z):
            p = ops.softmax(z)
            loss = ops.sum(ops.sparse_cross_entropy(p, labels) if sparse else ops.cross_entropy(p, targets))
            one = as_tensor(1.0, "float64")
            if fused_before:
                backward([loss], [one], [z])
            return p, backward([loss], [one], [p])[0], backward([loss], [one], [z])[0], *backward([loss], [one], [z, p])

        p, by_p, by_z, both_z, both_p = f(np.array([[1.0, 2.0], [0.5, 0.0]]))
        # The loss of distributions divides by their sum, and the derivative of that is 1 here.
        expected = -targets / p if sparse else 1 - targets / p
        np.testing.assert_allclose(by_p, expected, rtol=1e-12)
        np.testing.assert_allclose(both_p, expected, rtol=1e-12)
        np.testing.assert_allclose(by_z, p - targets, rtol=1e-12)
        np.testing.assert_allclose(both_z, p - targets, rtol=1e-12)

    def test_second_derivatives_through_a_fused_loss_are_refused(self):
        labels = np.array([0, 1])

        @fastnn.function
        def f(z):
            p = ops.softmax(z)
            loss = ops.sum(ops.sparse_cross_entropy(p, labels))
            (dz,) = backward([loss], [as_tensor(1.0, "float64")], [z])
            return backward([ops.sum(ops.square(dz))], [as_tensor(1.0, "float64")], [z, p])

        with pytest.raises(ValueError, match="op 'sparse_softmax_cross_entropy_backward' has no derivative"):
            f(np.zeros((2, 2)))

    def test_arguments_that_have_no_gradient(self):
        with pytest.raises(TypeError, match="expected a float"):
            fastnn.grad(lambda x: ops.sum(x))(np.array([1, 2]))
        with pytest.raises(ValueError, match="positional"):
            fastnn.grad(lambda x: ops.sum(x))(x=np.ones(2))

    def test_results_that_are_no_number(self):
        with pytest.raises(ValueError, match=r"expected one float of shape \(\)"):
            fastnn.grad(lambda x: x * x)(np.ones(2))

    def test_ops_without_derivative_are_named(self):
        with pytest.raises(ValueError, match="op 'gather_rows' has no derivative"):
            fastnn.grad(lambda x, i: ops.sum(ops.gather_rows(x, i)))(np.ones((3, 2)), np.array([0]))

    def test_extra_results(self):
        f = fastnn.value_and_grad(lambda x: (ops.sum(x), {"twice": x * 2}), has_aux=True)
        (value, aux), gradient = f(np.ones(2))
        assert value == 2.0
        np.testing.assert_array_equal(aux["twice"], [2.0, 2.0])
        np.testing.assert_array_equal(gradient, [1.0, 1.0])

    def test_one_graph_planned_for_several_batch_sizes_equals_fresh_traces(self):
        rng = np.random.default_rng(0)
        w = rng.standard_normal((5, 3))

        def loss(x, w, y):
            return ops.mean(ops.square(ops.mean(ops.tanh(ops.dense(x, w)), axes=1) - y))

        gradient = fastnn.value_and_grad(loss, argnums=(0, 1))
        symbolic = fastnn.function(gradient, shapes=[("batch", 5), (5, 3), ("batch",)])
        for n in (1, 7, 32):
            x, y = rng.standard_normal((n, 5)), rng.standard_normal(n)
            for got, fresh in zip(flatten(symbolic(x, w, y))[0], flatten(gradient(x, w, y))[0]):
                np.testing.assert_array_equal(got, fresh)
