"""simple_rnn, lstm, gru and their cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels, ops
from fastnn.reference import forward_ops
from harness import Case, Operand, Refused, array, assert_house_form, check, execute, forced, given, normal, planned_variant

GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}
STATES = {"simple_rnn": 1, "lstm": 2, "gru": 1}
FACTORS = {"simple_rnn": (), "lstm": (6,), "gru": (5,)}  # an axis of `derivatives`
OPS = list(GATES)


def scaled(factor: float, *shape: int) -> Operand:
    return Operand(shape, lambda rng: rng.standard_normal(shape) * factor)


def steps_mask(batch: int, time: int) -> Operand:
    """Some steps masked, in the first rows also the first ones, the last ones, all and none."""

    def draw(rng: np.random.Generator) -> Any:
        mask = rng.random((batch, time)) < 0.6
        for row, values in enumerate([(0, time // 2, False), (time // 2, time, False), (0, time, False), (0, time, True)]):
            if row < batch:
                mask[row, values[0] : values[1]] = values[2]
        return mask

    return Operand((batch, time), draw, "bool")


def bound(case: Case, operands: list[Any], oracle: list[Any]) -> list[Any]:
    """A sum of C + U products, whose error the steps behind it pass on with a factor that small weights keep near 1."""
    op = case.op.removesuffix("_backward")
    if case.op != op:
        recurrent, time = operands[1], operands[0].shape[1]
        n = (recurrent.shape[1] + 16) * (time + 2)
        size = 1 + max(float(np.abs(x).max(initial=0.0)) for x in operands if x is not None and x.dtype.kind == "f")
        return [np.full(y.shape, n * size * max(1.0, float(np.abs(y).max(initial=0.0)))) for y in oracle]
    x, kernel, recurrent, bias = [*operands, None][:4]
    sums = np.abs(x) @ np.abs(kernel)
    size = 1 + float(sums.max(initial=0.0)) + float(np.abs(recurrent).sum(axis=0).max(initial=0.0))
    size += 0 if bias is None else float(np.abs(bias).max(initial=0.0))
    n = (kernel.shape[0] + len(recurrent) + 24) ** 0.5 * (x.shape[1] + 2)
    return [np.full(y.shape, n * size * max(1.0, float(np.abs(y).max(initial=0.0)))) for y in oracle]


def cases(
    op: str,
    batch: int,
    time: int,
    channels: int,
    units: int,
    *,
    bias: bool = True,
    states: bool = True,
    mask: bool = False,
    dropout: bool = False,
    **attributes: Any,
) -> list[Case]:
    width, state = GATES[op] * units, normal(batch, units) if states else None
    recurrent = scaled(0.7 / max(units, 1) ** 0.5, units, width)
    ends = [steps_mask(batch, time) if mask else None, given(np.resize([0.0, 1.5, 1.5], (batch, units))) if dropout else None]
    of_bias = (2, width) if op == "gru" and attributes.get("reset_after", True) else (width,)
    operands = [
        normal(batch, time, channels),
        scaled(0.7 / max(channels, 1) ** 0.5, channels, width),
        recurrent,
        scaled(0.5, *of_bias) if bias else None,
        *[state] * STATES[op],
        *ends,
    ]
    backward: list[Operand | None] = [
        Operand(shape := (batch, time, *FACTORS[op], units), lambda rng: rng.uniform(-0.5, 0.7, shape)),
        recurrent,
        normal(batch, time, units) if bias else None,
        *[normal(batch, units) if states else None] * STATES[op],
        *ends,
    ]
    for table in (operands, backward):
        while table[-1] is None:
            table.pop()
    options = {k: v for k, v in attributes.items() if k != "activation"}
    without_dropout = [i for i, o in enumerate(operands) if o is not None and o.dtype is None and o is not ends[1]]
    return [
        Case(op, operands, attributes, bound, differentiable=without_dropout),
        Case(f"{op}_backward", backward, options, bound),
    ]


# Units around the width of a vector and of a tile; more rows than a task has; no steps, no rows, no channels.
SIZES = [
    *((2, 3, 2, units) for units in (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65)),
    (1, 1, 1, 1),
    (1, 1, 3, 2),
    (3, 5, 7, 11),
    (5, 2, 17, 4),
    (13, 3, 3, 20),
    (53, 2, 4, 6),
    (8, 2, 3, 130),
    (0, 3, 2, 4),
    (2, 0, 3, 4),
    (2, 3, 0, 4),
    (2, 3, 4, 0),
]
OPTIONS: list[dict[str, Any]] = [
    {"bias": False},
    {"states": False},
    {"bias": False, "states": False},
    {"reverse": True},
    {"mask": True},
    {"mask": True, "reverse": True},
    {"mask": True, "states": False},
    {"dropout": True},
    {"dropout": True, "mask": True, "reverse": True, "bias": False},
]
OWN: dict[str, list[dict[str, Any]]] = {
    "simple_rnn": [{"activation": "tanh"}, {"activation": "relu"}, {"activation": "linear"}],
    "lstm": [{}],
    "gru": [{"reset_after": True}, {"reset_after": False}],
}

CASES = [
    case
    for op in OPS
    for own in OWN[op]
    for table in (
        [cases(op, *size, **own) for size in SIZES],
        [cases(op, 6, 4, 3, 5, **own, **options) for options in OPTIONS],
        [cases(op, 7, 5, 2, 18, **own, mask=True, dropout=True)],
    )
    for pair in table
    for case in pair
]

X, MASK = array(2, 3, 4), array(2, 3, dtype="bool")


def operands_of(op: str, **changes: Any) -> list[Any]:
    width = GATES[op] * 5
    names = ["x", "kernel", "recurrent_kernel", "bias", *["h0", "c0"][: STATES[op]], "mask", "recurrent_mask"]
    bias = array(2, width) if op == "gru" else array(width)
    found = dict(zip(names, [X, array(4, width), array(5, width), bias, *[array(2, 5)] * STATES[op], MASK, array(2, 5)]))
    return list({**found, **changes}.values())


def backward_operands_of(op: str, **changes: Any) -> list[Any]:
    names = ["derivatives", "recurrent_kernel", "dy", *["dh", "dc"][: STATES[op]], "mask", "recurrent_mask"]
    states = [array(2, 5)] * STATES[op]
    arrays = [array(2, 3, *FACTORS[op], 5), array(5, 5 * GATES[op]), array(2, 3, 5), *states, MASK, array(2, 5)]
    return list({**dict(zip(names, arrays)), **changes}.values())


REFUSED = [
    *(
        Refused(op, operands_of(op, **{name: wrong}), {}, error, words)
        for op in OPS
        for name, wrong, error, words in [
            ("x", array(2, 4), ValueError, "`x` has shape (2, 4); expected 3 axes"),
            ("x", array(2, 3, 4, dtype="int32"), TypeError, "`x` is int32"),
            ("x", array(2, 3, 3), ValueError, "`kernel` has shape (4, "),
            ("kernel", array(4, 7), ValueError, "`kernel` has shape (4, 7)"),
            ("recurrent_kernel", array(4, 5 * GATES[op]), ValueError, "`recurrent_kernel` has shape (4, "),
            ("recurrent_kernel", array(5, 5 * GATES[op], dtype="float64"), TypeError, "`recurrent_kernel` is float64"),
            ("bias", array(3), ValueError, "`bias` has shape (3,)"),
            ("h0", array(2, 4), ValueError, "`h0` has shape (2, 4); expected (2, 5)"),
            ("h0", array(3, 5), ValueError, "`h0` has shape (3, 5)"),
            ("mask", array(2, 3), TypeError, "`mask` is float32; expected bool"),
            ("mask", array(2, 4, dtype="bool"), ValueError, "`mask` has shape (2, 4)"),
            ("recurrent_mask", array(1, 5), ValueError, "`recurrent_mask` has shape (1, 5)"),
        ]
    ),
    Refused("lstm", operands_of("lstm", c0=array(2, 6)), {}, ValueError, "`c0` has shape (2, 6)"),
    Refused("gru", operands_of("gru"), {"reset_after": False}, ValueError, "`bias` has shape (2, 15); expected (15,)"),
    Refused("simple_rnn", operands_of("simple_rnn"), {"activation": "gelu"}, ValueError, "activation='gelu'"),
    *(
        Refused(f"{op}_backward", backward_operands_of(op, **{name: wrong}), {}, error, words)
        for op in OPS
        for name, wrong, error, words in [
            ("derivatives", array(2, 3), ValueError, "`derivatives` has shape (2, 3); expected"),
            ("derivatives", array(2, 3, *FACTORS[op], 4), ValueError, "`derivatives` has shape"),
            ("recurrent_kernel", array(5, 7), ValueError, "`recurrent_kernel` has shape (5, 7)"),
            ("dy", array(2, 3, 4), ValueError, "`dy` has shape (2, 3, 4)"),
            ("dh", array(2, 5, dtype="float64"), TypeError, "`dh` is float64"),
            ("mask", array(2, 3, dtype="uint8"), TypeError, "`mask` is uint8"),
        ]
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_recurrent(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_recurrent_refuses(refused: Any) -> None:
    refused.check()


def network(op: str, batch: int, time: int, channels: int, units: int) -> list[Any]:
    rng = np.random.default_rng(5)
    width = GATES[op] * units
    shapes = [(batch, time, channels), (channels, width), (units, width), (2, width) if op == "gru" else (width,)]
    return [(rng.standard_normal(shape) * (1 if i == 0 else 0.3)).astype("f") for i, shape in enumerate(shapes)]


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("op", OPS)
def test_a_row_does_not_depend_on_the_batch(op: str, isa: str) -> None:
    with forced(isa=isa, threads=1):
        x, *weights = network(op, 61, 4, 9, 21)
        together = getattr(kernels, op)(x, *weights)
        for rows in (slice(0, 1), slice(60, 61), slice(3, 9), slice(20, 60)):
            for part, whole in zip(getattr(kernels, op)(x[rows], *weights), together):
                assert np.array_equal(part, whole[rows])


@pytest.mark.parametrize("op", OPS)
def test_pieces_are_the_whole(op: str) -> None:
    """Also where a piece begins in the middle of a row's masked steps."""
    x, *weights = network(op, 5, 12, 3, 17)
    mask = np.random.default_rng(1).random((5, 12)) < 0.7
    mask[:, 0] = mask[:, 5] = True
    function = getattr(ops, op)
    y, *states = function(x, *weights, *[None] * STATES[op], mask)
    parts, carried = [], [None] * STATES[op]
    for piece in (slice(0, 5), slice(5, 12)):
        part, *carried = function(x[:, piece], *weights, *carried, mask[:, piece])
        parts.append(part)
    assert np.array_equal(np.concatenate(parts, axis=1), y)
    assert all(np.array_equal(a, b) for a, b in zip(carried, states))


# Tasks divide the units of a network of so many in batches up to this one, and in greater ones the rows.
MANY_UNITS, FEW_ROWS = {"simple_rnn": 411, "lstm": 203, "gru": 257}, 16


def chosen(op: str, operands: list[Any]) -> str | None:
    return planned_variant(Case(op, [], {}), operands)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("op", OPS)
def test_both_ways_give_the_same_bits(op: str, isa: str) -> None:
    for own in OWN[op]:
        if own.get("reset_after") is False:
            continue
        table = [
            *(cases(op, *size, **own) for size in [(6, 4, 3, 5), (1, 3, 5, 130), (13, 3, 3, 33), (53, 1, 4, 67), (2, 0, 3, 4)]),
            *(cases(op, 7, 4, 3, 70, **own, **options) for options in OPTIONS),
        ]
        for case in (case for pair in table for case in pair):
            for dtype in ("float32", "float64"):
                operands = case.as_dtype(case.make_operands(), dtype)
                results = []
                for variant in ("rows", "units"):
                    for threads in (1, 3):
                        with forced(isa=isa, threads=threads, variant=(case.op, variant)):
                            results.append(execute(case, operands))
                for other in results[1:]:
                    for a, b in zip(results[0], other, strict=True):
                        assert np.array_equal(a, b), (case, dtype)


@pytest.mark.parametrize("op", OPS)
def test_the_choice_of_the_way_changes_no_bit(op: str) -> None:
    """Rows of a batch whose tasks divide its rows are those of a small batch whose tasks divide its units; so are pieces."""
    units = MANY_UNITS[op]
    x, *weights = network(op, FEW_ROWS + 1, 3, 19, units)
    assert chosen(op, [x, *weights]) == "rows"
    together = getattr(kernels, op)(x, *weights)
    derivatives = together[2 + STATES[op]]
    dy = np.random.default_rng(2).standard_normal((*x.shape[:2], units)).astype("f")
    back = f"{op}_backward"
    whole_back = _core.execute(back, [derivatives, weights[1], dy], {})
    for rows in (slice(0, 1), slice(7, 12), slice(1, FEW_ROWS + 1)):
        assert chosen(op, [x[rows], *weights]) == "units"
        for part, whole in zip(getattr(kernels, op)(x[rows], *weights), together):
            assert np.array_equal(part, whole[rows])
        operands = [derivatives[rows], weights[1], dy[rows]]
        assert chosen(back, operands) == "units"
        for part, whole in zip(_core.execute(back, operands, {}), whole_back):
            assert np.array_equal(part, whole[rows])
    carried: list[Any] = [None] * STATES[op]
    for step in range(3):
        y, *carried = getattr(ops, op)(x[:9, step : step + 1], *weights, *carried)
        assert np.array_equal(y, together[0][:9, step : step + 1])


@pytest.mark.parametrize("op", OPS)
def test_reverse_is_the_flipped_sequence(op: str) -> None:
    x, *weights = network(op, 3, 6, 4, 5)
    backwards, *last = getattr(ops, op)(x, *weights, reverse=True)
    flipped, *states = getattr(ops, op)(np.ascontiguousarray(x[:, ::-1]), *weights)
    assert np.array_equal(backwards, flipped[:, ::-1])
    assert all(np.array_equal(a, b) for a, b in zip(last, states))


@pytest.mark.parametrize("op", OPS)
def test_a_nan_stays_in_its_row(op: str) -> None:
    x, *weights = network(op, 4, 5, 3, 9)
    clean = getattr(ops, op)(x, *weights)
    x[1, 2, 0] = np.nan
    for result, before in zip(getattr(ops, op)(x, *weights), clean):
        assert np.array_equal(result[[0, 2, 3]], before[[0, 2, 3]])
    y = getattr(ops, op)(x, *weights)[0]
    assert np.isnan(y[1, 2:]).all()
    assert np.array_equal(y[1, :2], clean[0][1, :2])


@pytest.mark.parametrize("op", OPS)
def test_what_nobody_reads_is_not_kept(op: str) -> None:
    """What is saved for a gradient takes no memory in a prediction, y none where only the state is wanted; same bits."""
    operands = network(op, 6, 5, 3, 16)
    everything = getattr(kernels, op)(*operands)
    sequence = 6 * 5 * 16 * 4
    for wanted in ([0], [1], [0, 1]):
        graph = _core.Graph()
        values = [graph.input(f"x{i}", x.dtype.name, x.shape) for i, x in enumerate(operands)]
        results = graph.node(op, values, {}, "", "")
        doubled = [graph.node("add", [results[i], results[i]], {}, "", "")[0] for i in wanted]
        graph.set_outputs(doubled)
        function = _core.Function(graph)
        for result, i in zip(function.run(operands, False), wanted):
            assert np.array_equal(result, 2 * everything[i])
        plan = function.describe([list(x.shape) for x in operands])
        assert plan["intermediate_bytes"] < (3 * sequence if 0 in wanted else sequence)


@pytest.mark.parametrize("op", OPS)
def test_cells_are_single_steps(op: str) -> None:
    x, kernel, recurrent, bias = network(op, 4, 1, 3, 5)
    states = [np.random.default_rng(i).standard_normal((4, 5)).astype("f") for i in range(STATES[op])]
    cell = {"simple_rnn": ops.rnn_cell, "lstm": ops.lstm_cell, "gru": ops.gru_cell}[op]
    after = cell(x[:, 0], *states, kernel, recurrent, bias)
    expected = forward_ops[op](*(a.astype("d") for a in (x, kernel, recurrent, bias, *states)))[1 : 1 + STATES[op]]
    for got, right in zip(after if isinstance(after, tuple) else [after], expected):
        assert np.abs(got - right).max() <= 1e-5


def test_packed_weights_follow_the_variables() -> None:
    """A prediction packs the weights once, and again when they changed."""
    x, kernel, recurrent, bias = network("lstm", 3, 4, 3, 5)
    variables = [fastnn.Variable(w) for w in (kernel, recurrent, bias)]
    predict = fastnn.function(lambda a: ops.lstm(a, *variables)[1])
    for factor in (1.0, 0.5, 0.5):
        for variable, value in zip(variables, (kernel, recurrent, bias)):
            variable.assign(value * np.float32(factor))
        assert np.array_equal(predict(x), ops.lstm(x, *(v.numpy() for v in variables))[1])


def test_time_may_be_a_symbol() -> None:
    x, kernel, recurrent, bias = network("gru", 3, 7, 4, 5)

    def loss(a: Any) -> Any:
        y, h = ops.gru(a, kernel, recurrent, bias)
        return ops.sum(y * y) + ops.sum(h)

    gradient = fastnn.function(fastnn.grad(loss), shapes=[("batch", "time", 4)])
    for rows, steps in ((3, 7), (2, 3), (1, 1)):
        part = np.ascontiguousarray(x[:rows, :steps])
        assert np.array_equal(gradient(part), fastnn.grad(loss)(part))


# ---- Lengths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("op", OPS)
def test_lengths_are_sequences_cut_off(op: str, reverse: bool) -> None:
    """Each sample is the reference on its own steps: outputs, states, and gradients, which what lies behind has none of."""
    x, *weights = network(op, 6, 7, 3, 5)
    states = [np.random.default_rng(i).standard_normal((6, 5)).astype("f") for i in range(STATES[op])]
    lengths = np.array([7, 3, 0, 1, 6, 4])
    function = getattr(ops, op)
    y, *after = function(x, *weights, *states, lengths=lengths, reverse=reverse)
    wide = [a.astype("d") for a in weights]
    for i, n in enumerate(lengths):
        begin = [state[i : i + 1].astype("d") for state in states]
        if n == 0:
            expected, last = np.zeros((1, 0, 5)), begin
        else:
            expected, *last = forward_ops[op](x[i : i + 1, :n].astype("d"), *wide, *begin, reverse=reverse)[: 1 + STATES[op]]
        assert np.abs(y[i, :n] - expected[0]).max(initial=0) <= 1e-5
        behind = np.zeros(5) if reverse or n == 0 else y[i, n - 1]
        assert np.array_equal(y[i, n:], np.broadcast_to(behind, (7 - n, 5)))
        for got, right in zip(after, last):
            assert np.abs(got[i] - right[0]).max() <= 1e-5

    def gradient(x: Any, mask: Any, lengths: Any) -> Any:
        def total(x: Any) -> Any:
            return ops.sum(ops.square(function(x, *weights, *states, mask, lengths=lengths, reverse=reverse)[1]))

        return fastnn.grad(total)(x)

    by_lengths = fastnn.function(lambda x, n: gradient(x, None, n))(x, lengths)
    by_mask = fastnn.function(lambda x, mask: gradient(x, mask, None))(x, np.arange(7) < lengths[:, None])
    assert np.array_equal(by_lengths, by_mask)
    assert all(not by_lengths[i, n:].any() and by_lengths[i, :n].any() == (n > 0) for i, n in enumerate(lengths))


@pytest.mark.parametrize("op", OPS)
def test_lengths_beside_a_mask(op: str) -> None:
    x, *weights = network(op, 4, 6, 3, 5)
    lengths, mask = np.array([6, 2, 0, 5], np.int32), np.random.default_rng(0).random((4, 6)) < 0.5
    function, none = getattr(ops, op), [None] * STATES[op]
    both = function(x, *weights, *none, mask & (np.arange(6) < lengths[:, None]))
    assert all(np.array_equal(a, b) for a, b in zip(function(x, *weights, *none, mask, lengths=lengths), both))


@pytest.mark.parametrize("op", OPS)
def test_lengths_of_a_time_that_is_not_known_yet(op: str) -> None:
    x, *weights = network(op, 4, 6, 3, 5)
    run = fastnn.function(lambda x, n: getattr(ops, op)(x, *weights, lengths=n)[0], shapes=[("batch", "time", 3), ("batch",)])
    for time in (6, 4):
        lengths = np.array([time, 2, 0, 3])
        assert np.array_equal(run(x[:, :time], lengths), getattr(ops, op)(x[:, :time], *weights, lengths=lengths)[0])
    with pytest.raises(ValueError, match=rf"{op}: lengths - 1: take: index 4 at position 1 .*expected 0 <= index < 4"):
        run(x[:, :4], np.array([4, 5, 0, 3]))
    with pytest.raises(ValueError, match=rf"{op}: lengths - 1: take: index -2 at position 3 "):
        run(x[:, :4], np.array([4, 4, 0, -1]))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        (np.array([1, 5]), ValueError, "length 5 of sample 1; expected 0 to 4, the number of steps"),
        (np.array([-1, 4]), ValueError, "length -1 of sample 0; expected 0 to 4"),
        (np.array([1, 2, 3]), ValueError, "`lengths` has shape (3,); expected (2,)"),
        (np.array([[1], [2]]), ValueError, "`lengths` has shape (2, 1); expected (2,)"),
        (np.array([1.0, 2.0]), TypeError, "`lengths` is float64; expected an array of int32 or int64"),
        ([1, 2], TypeError, "`lengths` is list; expected an array of int32 or int64"),
    ],
    ids=str,
)
def test_lengths_that_do_not_fit(op: str, lengths: Any, error: type[Exception], words: str) -> None:
    x, *weights = network(op, 2, 4, 3, 5)
    with pytest.raises(error) as caught:
        getattr(ops, op)(x, *weights, lengths=lengths)
    assert_house_form(str(caught.value), op)
    assert words in str(caught.value)
