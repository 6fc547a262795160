from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, kernels, ops
from fastnn.reference.attention import scores
from harness import Case, Operand, Refused, array, check, given, normal, uniform

Array = np.ndarray[Any, np.dtype[Any]]


def split(case: Case, operands: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The operands of forward, and those attributes that scores depend on."""
    attributes = {k: v for k, v in case.attributes.items() if k in ("causal", "scale")}
    saved = operands[:6] if case.op != "attention" else []
    query, key, value, *options = [*operands[1:4], *operands[6:]] if saved else operands
    return [query, key, value, *[*options, *[None] * 5][:5]], attributes


def errors(case: Case, operands: list[Any], oracle: list[Array]) -> list[Any]:
    """What rounding can do, in units of eps. An error of a score is a relative one of its weight."""
    (query, key, value, mask, bias, lengths, positions, _), attributes = split(case, operands)
    options = (mask, bias, lengths, positions)
    x, sees = scores(query, key, *options, **attributes)
    group = query.shape[2] // key.shape[2]
    scale = abs(attributes.get("scale", 0.0)) or query.shape[3] ** -0.5
    added = None if bias is None else np.where(bias == -np.inf, 0, np.abs(bias))
    magnitude, _ = scores(np.abs(query), np.abs(key), mask, added, *options[2:], **{**attributes, "scale": scale})
    of_scores = float(np.max((query.shape[3] + 3) * magnitude + 2 * np.abs(x), initial=0.0)) + 4
    kept = 1 / (1 - case.attributes.get("rate", 0.0))
    keys, values = np.repeat(np.abs(key), group, axis=2), np.repeat(np.abs(value), group, axis=2)
    if case.op == "attention":
        lse = oracle[1]
        p = np.where(sees, np.exp(x - lse[..., None]), 0)
        n = 2 * of_scores + 2 * x.shape[-1] + 8
        return [n * kept * np.einsum("bhts,bshe->bthe", p, values), of_scores + x.shape[-1] + 4 + 2 * np.abs(lse)]
    dy, y, lse = operands[0], operands[4], operands[5]
    p = np.where(sees, np.exp(x - lse[..., None]), 0)
    n = of_scores + 2 * np.max(np.abs(lse), initial=0.0) + dy.shape[-1] + sum(x.shape[-2:]) * group + 12
    dp = kept * np.einsum("bthe,bshe->bhts", np.abs(dy), values)
    dx = n * p * (dp + np.einsum("bthe,bthe->bht", np.abs(dy), np.abs(y))[..., None])
    if case.op == "attention_backward_bias":
        return [dx]
    dkey = scale * np.einsum("bhts,bthd->bshd", dx, np.abs(query)).reshape(*key.shape[:3], group, key.shape[3]).sum(3)
    dvalue = n * kept * np.einsum("bhts,bthe->bshe", p, np.abs(dy)).reshape(*value.shape[:3], group, value.shape[3]).sum(3)
    return [scale * np.einsum("bhts,bshd->bthd", dx, keys), dkey, dvalue]


def chance(share: float, *shape: int) -> Operand:
    return Operand(shape, lambda rng: rng.random(shape) < share, "bool")


Sizes = tuple[int, int, int, int, int, int, int]  # B, T, S, NH, KV, HS, VS


def forward(sizes: Sizes, *options: Operand | None, note: str = "", wrt: Any = None, **attributes: Any) -> Case:
    B, T, S, NH, KV, HS, VS = sizes
    operands = [normal(B, T, NH, HS), normal(B, S, KV, HS), normal(B, S, KV, VS), *options]
    return Case("attention", operands, attributes, errors, wrt, note=note)


def backward(case: Case, op: str = "attention_backward") -> Case:
    """The backward op on numbers of its own in the place of what forward would have saved."""
    query, key, value, *options = case.operands
    assert query is not None and value is not None
    B, T, NH, _ = query.shape
    VS = value.shape[3]
    saved = [normal(B, T, NH, VS), query, key, value, normal(B, T, NH, VS), uniform(1, 3, B, NH, T)]
    return Case(op, [*saved, *options], case.attributes, errors, note=case.note)


STATE = given([7, 3], "int64")
SMALL = (2, 5, 7, 4, 2, 3, 2)  # grouped heads, and no two lengths alike
# One query has nothing to see.
HIDING = given(np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 1]], bool), "bool")
TWO_OF_THREE = given(np.array([[1, 1, 0], [1, 0, 1]], bool), "bool")
HIDDEN_COLUMN = given(np.array([0.5, -np.inf, -0.25, 1.0, -np.inf]))
OPTIONS = [
    forward(SMALL),
    forward(SMALL, causal=True),
    forward((1, 7, 5, 2, 1, 3, 2), causal=True, note="the first queries see nothing"),
    forward((1, 6, 6, 1, 1, 1, 1), scale=0.7, causal=True),
    forward(SMALL, scale=-1.5),
    forward(SMALL, chance(0.6, 2, 4, 5, 7)),
    forward(SMALL, chance(0.6, 5, 7), causal=True),
    forward(SMALL, chance(0.6, 2, 1, 1, 7)),
    forward(SMALL, chance(0.6, 4, 5, 1)),
    forward(SMALL, chance(0.6, 2, 1, 5, 1), uniform(-2, 2, 7)),
    forward((1, 4, 3, 2, 2, 2, 2), HIDING),
    forward((2, 3, 5, 2, 2, 2, 2), None, HIDDEN_COLUMN),
    forward((1, 2, 2, 1, 1, 2, 1), None, given(np.full((2, 2), -np.inf)), wrt=[], note="nothing to see"),
    forward(SMALL, None, normal(2, 4, 5, 7)),
    forward(SMALL, None, normal(4, 1, 7), causal=True),
    forward(SMALL, None, normal(2, 1, 5, 1)),
    forward(SMALL, None, normal(1), scale=0.3),
    forward(SMALL, None, None, given([7, 0], "int64")),
    forward(SMALL, None, None, given([2, 6], "int32"), causal=True),
    forward(SMALL, None, None, None, given([0, 2], "int64"), causal=True),
    forward(SMALL, None, None, given([7, 3], "int64"), given([1, 2], "int32"), causal=True),
    forward(SMALL, None, None, None, None, STATE, rate=0.4, stream=2),
    forward(SMALL, chance(0.7, 5, 7), normal(7), None, None, STATE, rate=0.25, stream=2**33 + 1, causal=True),
    forward(SMALL, None, None, None, None, given([-1, 2**40 + 1], "int64"), rate=0.9, stream=1, note="other numbers"),
    forward(SMALL, None, None, None, None, STATE, note="a state that is not needed"),
    forward((1, 2, 3, 1, 1, 2, 2), TWO_OF_THREE, normal(3), given([3], "int64"), None, STATE, rate=0.2, stream=3),
    forward((2, 70, 130, 2, 1, 3, 5), chance(0.8, 70, 130), normal(2, 1, 1, 130), given([130, 66], "int64"), None, STATE,
            rate=0.3, stream=1, causal=True),
]  # fmt: skip
EMPTY = [
    forward(sizes, causal=causal)
    for sizes in [(0, 3, 4, 2, 1, 2, 3), (2, 0, 4, 2, 1, 2, 3), (2, 3, 0, 2, 1, 2, 3)]
    for causal in (False, True)
]
SIZES = [
    *(forward((1, T, T, 1, 1, 4, 4), causal=True) for T in (1, 2, 3, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65)),
    *(forward((1, 17, S, 1, 1, 3, 5)) for S in (1, 6, 7, 15, 16, 17, 63, 64, 65, 129)),
    *(forward((1, 5, 9, 2, 2, size, size + 1)) for size in (1, 2, 7, 8, 15, 16, 31, 33, 64, 65)),
    forward((1, 1, 200, 3, 1, 8, 8), causal=True),
    forward((2, 67, 67, 3, 1, 16, 33), causal=True),
    forward((1, 130, 195, 2, 2, 9, 4), causal=True),
    forward((1, 195, 130, 2, 2, 9, 4), causal=True),
    forward((3, 66, 66, 4, 4, 32, 32), causal=True),
]
CASES = [
    *OPTIONS, *EMPTY, *SIZES,
    *(backward(case) for case in [*OPTIONS, *EMPTY, *SIZES[::3], *SIZES[-4:]]),
    *(backward(case, "attention_backward_bias") for case in [*OPTIONS, *EMPTY, *SIZES[::5]]),
]  # fmt: skip

Q, K = array(2, 3, 4, 5), array(2, 6, 2, 5)
LENGTHS, NONE = np.array([6, 6]), None


def refused(words: str, error: type[Exception], *operands: Any, **attributes: Any) -> Refused:
    return Refused("attention", list(operands), attributes, error, words)


REFUSED = [
    refused("`query` has shape (3, 4, 5); expected 4 axes", ValueError, array(3, 4, 5), K, K),
    refused("`value` has shape (6,)", ValueError, Q, K, array(6)),
    refused("`query` has shape (2, 3, 4, 5) and `key` (2, 6, 2, 4)", ValueError, Q, array(2, 6, 2, 4), K),
    refused("`query` has shape (2, 3, 4, 5) and `key` (3, 6, 2, 5)", ValueError, Q, array(3, 6, 2, 5), K),
    refused("`key` has shape (2, 6, 2, 5) and `value` (2, 7, 2, 5)", ValueError, Q, K, array(2, 7, 2, 5)),
    refused("`query` has 4 heads and `key` 3", ValueError, Q, array(2, 6, 3, 5), array(2, 6, 3, 5)),
    refused("at least 1 as the size of a head", ValueError, array(2, 3, 4, 0), array(2, 6, 2, 0), K),
    refused("at least 1 as the number of heads", ValueError, array(2, 3, 0, 5), K, K),
    refused("shapes (3, 7) and (2, 4, 3, 6) do not broadcast", ValueError, Q, K, K, np.ones((3, 7), bool)),
    refused("`mask` has shape (2, 2, 4, 3, 6)", ValueError, Q, K, K, np.ones((2, 2, 4, 3, 6), bool)),
    refused("`bias` has shape (1, 2, 4, 3, 6)", ValueError, Q, K, K, NONE, array(1, 2, 4, 3, 6)),
    refused("`lengths` has shape (3,); expected (2,)", ValueError, Q, K, K, NONE, NONE, np.array([1, 2, 3])),
    refused("`positions` without causal=True", ValueError, Q, K, K, NONE, NONE, NONE, LENGTHS),
    refused("length 7 of sample 1; expected 0 to 6", ValueError, Q, K, K, NONE, NONE, np.array([6, 7])),
    refused("length -1 of sample 0", ValueError, Q, K, K, NONE, NONE, LENGTHS - [7, 9]),
    refused("position 4 of sample 1 for 3 queries and 6 keys", ValueError, Q, K, K, NONE, NONE, NONE, LENGTHS - [6, 2],
            causal=True),
    refused("position -1 of sample 0", ValueError, Q, K, K, NONE, NONE, NONE, LENGTHS - [7, 5], causal=True),
    refused("rate=1;", ValueError, Q, K, K, rate=1.0),
    refused("rate=nan;", ValueError, Q, K, K, rate=np.nan),
    refused("rate=0.5 without `random_state`", ValueError, Q, K, K, rate=0.5),
    refused("scale=inf", ValueError, Q, K, K, scale=np.inf),
    refused("stream=-1", ValueError, Q, K, K, stream=-1),
    refused("`random_state` has shape (3,)", ValueError, Q, K, K, NONE, NONE, NONE, NONE, np.zeros(3, np.int64)),
    refused("`random_state` is int32", TypeError, Q, K, K, NONE, NONE, NONE, NONE, np.zeros(2, np.int32)),
    refused("`query` is int32", TypeError, Q.astype(np.int32), K, K),
    refused("`key` is float64 and `query` is float32", TypeError, Q, K.astype(np.float64), K),
    refused("`mask` is float32; expected bool", TypeError, Q, K, K, array(3, 6)),
    refused("`bias` is float64", TypeError, Q, K, K, NONE, array(3, 6, dtype="float64")),
    refused("`lengths` is float32; expected int32 or int64", TypeError, Q, K, K, NONE, NONE, array(2)),
    *(
        Refused(op, operands, {}, error, words)
        for op in ("attention_backward", "attention_backward_bias")
        for operands, error, words in [
            ([Q[:, :2], Q, K, K, Q, array(2, 4, 3)], ValueError, "`dy` has shape (2, 2, 4, 5); expected (2, 3, 4, 5)"),
            ([Q, Q, K, K, Q, array(2, 3, 4)], ValueError, "`lse` has shape (2, 3, 4); expected (2, 4, 3)"),
            ([Q, Q, K, K, Q.astype("d"), array(2, 4, 3)], TypeError, "`y` is float64"),
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_attention(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_attention_refuses(refused: Any) -> None:
    refused.check()


def random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Any:
    found = _core.isa()
    _core._use_isa(request.param)
    yield request.param
    _core._use_isa(found)


def test_a_query_that_sees_nothing_reads_zeros(isa: str) -> None:
    query, key, value = random(1, 3, 2, 4), random(1, 5, 2, 4), random(1, 5, 2, 4)
    for options in ([np.zeros(5, bool)], [None, np.full(5, -np.inf, np.float32)], [None, None, np.zeros(1, np.int32)]):
        y, lse = kernels.attention(query, key, value, *options)
        assert not y.any() and not lse.any()
        gradients = kernels.attention_backward(np.ones_like(y), query, key, value, y, lse, *options)
        assert not any(g.any() for g in gradients)


def test_where_nan_goes(isa: str) -> None:
    """Into its own query's row, and into the rows that see its key; not into those that end before."""
    plain = [random(1, 70, 2, 4), random(1, 70, 1, 4), random(1, 70, 1, 4)]
    clean = ops.attention(*plain, causal=True)
    for operand, rows in ((0, [30]), (1, range(30, 70))):
        operands = [x.copy() for x in plain]
        operands[operand][0, 30] = np.nan
        y = ops.attention(*operands, causal=True)
        assert np.array_equal(np.isnan(y).any((0, 2, 3)), np.isin(np.arange(70), rows))
        others = ~np.isin(np.arange(70), rows)
        assert np.array_equal(y[:, others], clean[:, others])
    for operand in (1, 2):
        operands = [x.copy() for x in plain]
        operands[operand][0, 40:] = np.nan
        y = ops.attention(*operands, None, None, np.array([40]))
        assert np.array_equal(y, ops.attention(plain[0], plain[1][:, :40], plain[2][:, :40]))
    masked = np.arange(70) != 30
    operands[1][...], operands[2][...] = plain[1], plain[2]
    operands[1][0, 30] = np.nan  # the score of a key that the mask hides counts for nothing
    assert np.array_equal(ops.attention(*operands, masked), ops.attention(*plain, masked))


def test_token_by_token_over_a_cache_gives_the_same_bits(isa: str) -> None:
    B, T, room = 2, 70, 90
    query, key, value = random(B, T, 4, 8), random(B, T, 2, 8), random(B, T, 2, 8)
    whole = ops.attention(query, key, value, causal=True)
    cache = [np.full((B, room, 2, 8), 7.0, np.float32) for _ in range(2)]
    y = []
    for first, count in [(0, 50), *((t, 1) for t in range(50, T))]:
        for stored, new in zip(cache, (key, value)):
            stored[:, first : first + count] = new[:, first : first + count]
        y.append(ops.attention(query[:, first : first + count], *cache, None, None, None, np.full(B, first), causal=True))
    assert np.array_equal(np.concatenate(y, axis=1), whole)


def test_dropout_is_that_of_the_weights() -> None:
    """With values that are unit vectors the result is the weights themselves."""
    query, key, state = random(2, 9, 3, 4), random(2, 11, 3, 4), np.array([5, 1])
    units = np.broadcast_to(np.eye(11, dtype=np.float32)[:, None], (2, 11, 3, 11)).copy()
    weights = ops.attention(query, key, units).transpose(0, 2, 1, 3)
    dropped = ops.attention(query, key, units, random_state=state, rate=0.3, stream=4).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(dropped, ops.dropout(np.ascontiguousarray(weights), state, rate=0.3, stream=4), rtol=1e-5)


def arena(T: int) -> int:
    shape = (1, T, 2, 16)
    graph = _core.Graph()
    values = [graph.input(name, "float32", shape) for name in ("q", "k", "v", "dy")]
    attributes = {"causal": True, "scale": 0.0, "rate": 0.0, "stream": 0}
    y, lse = graph.node("attention", values[:3], attributes, "", "")
    graph.set_outputs(graph.node("attention_backward", [values[3], *values[:3], y, lse], attributes, "", ""))
    plan: int = _core.Function(graph).describe([list(shape)] * 4)["arena_bytes"]
    return plan


def test_memory_grows_with_the_length_not_with_its_square() -> None:
    assert arena(8192) <= 8.5 * arena(1024) <= 2**20 * 16


def test_lengths_are_symbols_while_tracing() -> None:
    @fastnn.function(shapes=[("batch", "time", 2, 4), ("batch", "keys", 2, 4)])
    def f(query: Any, key: Any) -> Any:
        return ops.attention(query, key, key, causal=True)

    for T, S in ((3, 5), (66, 130)):
        query, key = random(2, T, 2, 4), random(2, S, 2, 4)
        assert np.array_equal(f(query, key), ops.attention(query, key, key, causal=True))


def test_second_derivatives_are_refused_by_name() -> None:
    x = random(1, 3, 1, 2)
    first = fastnn.grad(lambda q: ops.sum(ops.attention(q, x, x)))
    with pytest.raises(ValueError, match="op 'attention_backward' has no derivative"):
        fastnn.grad(lambda q: ops.sum(first(q)))(x)


@pytest.mark.parametrize("heads", [1, 2])  # of the queries for each of the keys: their gradients begin in their place, or at 0
def test_keys_that_no_query_sees_have_no_gradient(heads: int) -> None:
    rng = np.random.default_rng(0)
    q, dy, y = (rng.standard_normal((2, 9, 2 * heads, 8)).astype(np.float32) for _ in range(3))
    k, v = (rng.standard_normal((2, 40, 2, 8)).astype(np.float32) for _ in range(2))
    lse = np.ones((2, 2 * heads, 9), np.float32)
    lengths = np.array([33, 0], np.int32)
    for _ in range(4):
        litter = [np.full(a.shape, np.nan, np.float32) for a in (q, k, v)]  # memory that the results are likely to get
        del litter
        dq, dk, dv = kernels.attention_backward(dy, q, k, v, y, lse, None, None, lengths)[:3]
        assert not dk[0, 33:].any() and not dv[0, 33:].any() and dk[0, :33].all()
        assert not dk[1].any() and not dv[1].any() and not dq[1].any() and dq[0].all()
