"""Text of language models: the bits of the whole sequence, the drawing, the edges."""

from __future__ import annotations

import copy
import threading
from itertools import islice
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, ops
from fastnn.models import GPT, GPTConfig, LanguageModel
from fastnn.models.language_model import _Reader, _Sampling

SMALL = GPTConfig(vocabulary=11, context=12, layers=2, heads=2, width=16)


def lively(model: Any) -> Any:
    """With weights so large that probabilities differ."""
    model.build((None, model.context))
    for i, w in enumerate(model.weights):
        w.assign(np.random.default_rng(i).standard_normal(w.shape).astype(np.float32) * 0.3)
    return model


@pytest.fixture(scope="module")
def model() -> GPT:
    return lively(GPT(SMALL))


def tokens(count: int, length: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, SMALL.vocabulary, (count, length))


class Grouped(LanguageModel):
    """Layers that GPT has not: waves for positions, fewer heads of keys than of queries, values of another size."""

    def __init__(self) -> None:
        super().__init__(vocabulary=11, context=12)
        self.tokens, self.positions = layers.Embedding(11, 16), layers.SinusoidalPositions()
        self.grouped = layers.GroupQueryAttention(4, 4, 2)
        self.heads = layers.MultiHeadAttention(2, 8, value_dim=5)
        self.last = layers.Dense(11)

    def features(self, tokens: Any) -> Any:
        x = self.positions(self.tokens(tokens))
        x = x + self.grouped(x, use_causal_mask=True)
        return x + self.heads(x, x, use_causal_mask=True)

    def logits(self, x: Any) -> Any:
        return self.last(x)


# ---- The cache -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: GPT(SMALL), lambda: GPT(GPTConfig(7, 9, 1, 1, 24, tied=False)), Grouped])
@pytest.mark.parametrize("isa", _core.available_isas())
def test_reading_in_pieces_gives_the_bits_of_the_whole(make: Any, isa: str) -> None:
    before = _core.isa()
    _core._use_isa(isa)
    try:
        model = lively(make())
        text = tokens(3, model.context) % model.vocabulary
        whole = model.predict(text)
        reader = _Reader(model, 3)
        lengths = np.array([1, 5, 3])
        found = reader.read([row[:n].tolist() for row, n in zip(text, lengths)])
        assert np.array_equal(found, whole[np.arange(3), lengths - 1])
        while lengths.max() < model.context:
            found = reader.step(text[np.arange(3), lengths], lengths)
            assert np.array_equal(found, whole[np.arange(3), lengths])
            lengths += 1
    finally:
        _core._use_isa(before)


def test_default_sizes_give_the_bits_of_the_whole() -> None:
    model = lively(GPT(GPTConfig()))
    text = np.random.default_rng(3).integers(0, 65, 64)
    whole = model.predict(text[None])[0]
    reader = _Reader(model, 1)
    assert np.array_equal(reader.read([text[:20].tolist()])[0], whole[19])
    for i in range(20, 64):
        assert np.array_equal(reader.step(text[i : i + 1], np.array([i]))[0], whole[i])


def by_hand(model: Any, text: list[int], count: int) -> list[int]:
    """Greedy, without a cache: the whole text each time, and of a full context the newer half."""
    made: list[int] = []
    window = list(text)
    for _ in range(count):
        if len(window) > model.context:
            window = window[-(model.context // 2) :]
        padded = np.resize(window, (1, model.context))  # what comes behind a token is nothing to it
        made.append(int(model.predict(padded)[0, len(window) - 1].argmax()))
        window.append(made[-1])
    return made


def test_greedy_is_what_the_model_predicts_beyond_the_context_too(model: GPT) -> None:
    prompts = [tokens(1, n, n)[0].tolist() for n in (3, 12, 1, 8)]
    found = model.generate(prompts, 40, greedy=True)
    assert [row.tolist() for row in found] == [by_hand(model, prompt, 40) for prompt in prompts]
    assert all(row.dtype == np.int64 for row in found)


def test_what_stands_beside_a_text_does_not_matter(model: GPT) -> None:
    prompts = [tokens(1, n, n)[0].tolist() for n in (3, 12, 7)]
    together = model.generate(prompts, 30, seed=5)
    assert together[0].tolist() == model.generate(prompts[0], 30, seed=5).tolist()
    assert together[1].tolist() == model.generate([prompts[0], prompts[1]], 30, seed=5)[1].tolist()
    longer = model.generate([*prompts, [1]], 30, seed=5)
    assert [row.tolist() for row in longer[:3]] == [row.tolist() for row in together]


def test_the_same_seed_gives_the_same_tokens_for_any_number_of_threads(model: GPT) -> None:
    before = _core.num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 4):
            _core.set_num_threads(threads)
            _core._serial_below(0)
            found.append(np.stack(model.generate(tokens(3, 5), 30, seed=9, top_p=0.9, temperature=1.3)).tolist())
    finally:
        _core.set_num_threads(before)
        _core._serial_below(30e-6)
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0] != np.stack(model.generate(tokens(3, 5), 30, seed=10, top_p=0.9, temperature=1.3)).tolist()


def test_without_a_seed_it_is_the_librarys(model: GPT) -> None:
    fastnn.set_seed(4)
    first, second = (model.generate([1, 2], 20).tolist() for _ in range(2))
    assert first != second
    fastnn.set_seed(4)
    assert model.generate([1, 2], 20).tolist() == first


def test_new_weights_are_used_at_once(model: GPT) -> None:
    changed = copy.deepcopy(model)
    before = changed.generate([1, 2, 3], 10, greedy=True).tolist()
    assert before == model.generate([1, 2, 3], 10, greedy=True).tolist()
    changed.set_weights([w * 1.5 for w in model.get_weights()])
    assert changed.generate([1, 2, 3], 10, greedy=True).tolist() == by_hand(changed, [1, 2, 3], 10) != before
    changed.build((None, model.context))
    assert changed.generate([1, 2, 3], 10, greedy=True).tolist() == by_hand(changed, [1, 2, 3], 10)


def test_streams_do_not_meet(model: GPT) -> None:
    """Each has a cache of its own: two that take turns, one that is left, one that is used again, and several threads."""
    a, b = ([int(t) for t in model.generate(p, 25, seed=1)] for p in ([1, 2], [7, 8, 9]))
    assert [list(pair) for pair in zip(model.stream([1, 2], 25, seed=1), model.stream([7, 8, 9], 25, seed=1))] == [
        list(pair) for pair in zip(a, b)
    ]
    assert list(islice(model.stream([1, 2], 25, seed=1), 5)) == a[:5]
    assert list(model.stream([7, 8, 9], 25, seed=1)) == b
    results: dict[int, Any] = {}

    def work(i: int) -> None:
        results[i] = model.generate([1, 2] if i % 2 else [7, 8, 9], 25, seed=1).tolist()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[i] for i in range(6)] == [b, a] * 3


# ---- Drawing -------------------------------------------------------------------------------------------------------------


def sampling(**options: Any) -> _Sampling:
    defaults: dict[str, Any] = {"greedy": False, "temperature": 1.0, "top_k": None, "top_p": None, "repetition_penalty": 1.0}
    return _Sampling(**{**defaults, "stop_tokens": frozenset(), "key": (3, 0), **options})


def shares(logits: Any, seen: Any = None, **options: Any) -> Any:
    """How often each token was drawn, out of 20,000."""
    n = 20000
    rows = np.broadcast_to(np.asarray(logits, np.float32), (n, len(logits)))
    had = np.zeros((n, 0), bool) if seen is None else np.broadcast_to(np.asarray(seen, bool), rows.shape)
    drawn = sampling(**options).choose(rows, had, 0)
    return np.bincount(drawn, minlength=len(logits)) / n


def softmax(x: Any) -> Any:
    p = np.exp(np.asarray(x, np.float64))
    return p / p.sum()


LOGITS = np.log([0.4, 0.05, 0.3, 0.15, 0.1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.4, 0.05, 0.3, 0.15, 0.1]),
        ({"temperature": 0.5}, softmax(LOGITS * 2)),
        ({"temperature": 3.0}, softmax(LOGITS / 3)),
        ({"top_k": 2}, [4 / 7, 0, 3 / 7, 0, 0]),
        ({"top_k": 1}, [1, 0, 0, 0, 0]),
        ({"top_k": 5, "top_p": 1.0}, [0.4, 0.05, 0.3, 0.15, 0.1]),
        ({"top_p": 0.01}, [1, 0, 0, 0, 0]),
        ({"top_p": 0.6}, [4 / 7, 0, 3 / 7, 0, 0]),
        ({"top_p": 0.8}, [8 / 17, 0, 6 / 17, 3 / 17, 0]),
        ({"top_k": 3, "top_p": 0.8}, [4 / 7, 0, 3 / 7, 0, 0]),  # of 8, 6 and 3 seventeenths
    ],
    ids=str,
)
def test_tokens_are_drawn_as_often_as_their_probabilities_say(options: dict[str, Any], expected: Any) -> None:
    found = shares(LOGITS, **options)
    expected = np.asarray(expected)
    assert np.all(np.abs(found - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / 20000))  # and 0 where it is 0


def test_of_equal_tokens_the_first_are_taken() -> None:
    assert shares([1.0, 2.0, 2.0, 2.0], top_k=1)[1] == 1
    assert np.flatnonzero(shares([2.0, 1.0, 2.0, 2.0], top_k=2)).tolist() == [0, 2]
    assert sampling(greedy=True).choose(np.float32([[1, 3, 3]]), np.zeros((1, 0), bool), 0).tolist() == [1]


def test_extreme_logits_are_drawn_from() -> None:
    assert shares([-3e38, 3e38, 0.0])[1] == 1
    assert shares([0.0, 0.0], temperature=1e-30).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert shares([1.0, 1.0001], temperature=1e-300).tolist() == [0, 1]


def test_a_draw_is_the_librarys_philox() -> None:
    """Row i of step s: the uniform number of element i at counter s, whatever the number of rows."""
    logits = np.zeros((5, 1000), np.float32)
    none = np.zeros((5, 0), bool)
    for step in (0, 7):
        u = _core.random_uniform(3, 0, step, [5], "float64")
        assert sampling().choose(logits, none, step).tolist() == np.floor(u * 1000).astype(int).tolist()
        assert sampling().choose(logits[:2], none[:2], step).tolist() == np.floor(u[:2] * 1000).astype(int).tolist()


def test_the_penalty_makes_what_was_said_less_probable(model: GPT) -> None:
    had = [True, False, True, False]
    found = shares([1.0, 0.5, -1.0, 0.0], had, repetition_penalty=2.0)
    assert np.abs(found - softmax([0.5, 0.5, -2.0, 0.0])).max() < 0.015
    text = [1, 2]
    for made in model.generate(text.copy(), 10, greedy=True, repetition_penalty=3.0):
        x = model.predict(np.resize(text, (1, 12)))[0, len(text) - 1].astype(np.float64)
        for token in set(text):
            x[token] = x[token] / 3 if x[token] > 0 else x[token] * 3
        assert made == x.argmax()
        text.append(int(made))


# ---- Ends ----------------------------------------------------------------------------------------------------------------


def test_a_stop_token_ends_its_text(model: GPT) -> None:
    prompts = [[1, 2], [3], [5, 5, 5, 5, 5], [0, 9]]
    whole = model.generate(prompts, 40, seed=2)
    stopped = model.generate(prompts, 40, seed=2, stop_tokens=[4, 7])
    for full, cut in zip(whole, stopped):
        ends = np.flatnonzero(np.isin(full, [4, 7]))
        assert cut.tolist() == full[: ends[0] + 1 if len(ends) else 40].tolist()
    assert len({len(row) for row in stopped}) > 1
    rows = list(model.stream(prompts, 40, seed=2, stop_tokens=(4, 7)))
    assert len(rows) == max(map(len, stopped))
    for i, row in enumerate(stopped):
        assert [int(r[i]) for r in rows] == [*row.tolist(), *[-1] * (len(rows) - len(row))]
    assert model.generate([1, 2], 40, seed=2, stop_tokens=int(whole[0][0])).tolist() == [int(whole[0][0])]


def test_a_context_of_one_token() -> None:
    model = lively(GPT(GPTConfig(5, 1, 1, 1, 4)))
    made = model.generate([3], 6, greedy=True).tolist()
    assert made == [int(model.predict(np.array([[t]]))[0, -1].argmax()) for t in [3, *made[:-1]]]


def test_prompts_in_every_form(model: GPT) -> None:
    expected = model.generate([1, 2, 3], 5, greedy=True)
    assert expected.shape == (5,)
    for prompt in ((1, 2, 3), np.array([1, 2, 3], np.uint8), [np.int64(1), 2, 3]):
        assert model.generate(prompt, 5, greedy=True).tolist() == expected.tolist()
    for prompts in ([[1, 2, 3]], np.array([[1, 2, 3]]), (np.array([1, 2, 3]),)):
        (found,) = model.generate(prompts, 5, greedy=True)
        assert found.tolist() == expected.tolist()
    given = [1, 2, 3]
    model.generate(given, 5, greedy=True)
    assert given == [1, 2, 3]


@pytest.mark.parametrize(
    ("prompts", "options", "error", "words"),
    [
        ([], {}, ValueError, "an empty prompt"),
        ([[1], []], {}, ValueError, "prompt 1 has 0 tokens; expected 1 to 12"),
        ([1] * 13, {}, ValueError, "the prompt has 13 tokens; expected 1 to 12"),
        ([1, 11], {}, ValueError, "token 11 at place 1; expected 0 <= token < 11"),
        ([[1], [0, 2, -1]], {}, ValueError, "prompt 1 has token -1 at place 2"),
        ([1.0, 2.0], {}, TypeError, "is float64; expected integers"),
        ([True], {}, TypeError, "is bool"),
        ([[1, 2], 3], {}, ValueError, "prompt 1 has shape ()"),
        (np.zeros((1, 2, 3), int), {}, ValueError, "prompt 0 has shape (2, 3)"),
        ([[1, 2], [[1], [2, 3]]], {}, ValueError, "rows of equal length"),
        ("text", {}, TypeError, "encode text"),
        (3, {}, TypeError, "expected tokens"),
        ([1], {"max_new_tokens": 0}, ValueError, "max_new_tokens=0"),
        ([1], {"max_new_tokens": 2.0}, ValueError, "max_new_tokens=2.0"),
        ([1], {"temperature": 0}, ValueError, "pass greedy=True"),
        ([1], {"temperature": 0.0, "top_k": 3}, ValueError, "pass greedy=True"),
        ([1], {"temperature": -1.0}, ValueError, "temperature=-1.0"),
        ([1], {"temperature": float("nan")}, ValueError, "temperature=nan"),
        ([1], {"temperature": "hot"}, ValueError, "temperature='hot'"),
        ([1], {"top_k": 0}, ValueError, "top_k=0"),
        ([1], {"top_k": 12}, ValueError, "top_k=12 of 11"),
        ([1], {"top_k": 2.5}, ValueError, "top_k=2.5"),
        ([1], {"top_p": 0.0}, ValueError, "top_p=0.0"),
        ([1], {"top_p": 1.5}, ValueError, "top_p=1.5"),
        ([1], {"repetition_penalty": 0}, ValueError, "repetition_penalty=0"),
        ([1], {"stop_tokens": 11}, ValueError, "stop token 11"),
        ([1], {"stop_tokens": [1, -1]}, ValueError, "stop token -1"),
        ([1], {"stop_tokens": "ab"}, ValueError, "stop token 'a'"),
        ([1], {"stop_tokens": 1.5}, TypeError, "stop_tokens=1.5"),
        ([1], {"seed": -1}, ValueError, "seed=-1"),
        ([1], {"seed": 0.5}, TypeError, "seed=0.5"),
        ([1], {"greedy": 1}, TypeError, "greedy=1"),
        ([1], {"greedy": True, "seed": 0}, ValueError, "greedy=True with seed"),
        ([1], {"greedy": True, "temperature": 0.5, "top_k": 2, "top_p": 0.5}, ValueError, "with temperature, top_k, top_p"),
    ],
    ids=str,
)
def test_what_is_refused(model: GPT, prompts: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    for method in (model.generate, model.stream):  # the stream at once, not at its first token
        with pytest.raises(error) as caught:
            method(prompts, **{"max_new_tokens": 3, **options})
        parts = str(caught.value).split("; ")
        assert str(caught.value).startswith(f"{model.name}: {method.__name__}: ") and words in str(caught.value)
        assert any(part.startswith("expected ") for part in parts[1:]) and len(parts) >= 3, str(caught.value)


def test_logits_that_are_not_finite_end_it(model: GPT) -> None:
    broken = copy.deepcopy(model)
    broken.norm.set_weights([np.full(16, np.nan), np.zeros(16)])
    with pytest.raises(ValueError, match=r"gpt.*is not finite"):
        broken.generate([1, 2], 3, greedy=True)
    broken.set_weights(model.get_weights())
    assert broken.generate([1, 2], 3, greedy=True).tolist() == model.generate([1, 2], 3, greedy=True).tolist()


def test_places_that_the_cache_does_not_know_are_refused() -> None:
    class Turned(Grouped):
        def features(self, tokens: Any) -> Any:
            query, key, value = self.grouped.project(self.tokens(tokens))
            turn = layers.RotaryEmbedding()
            return self.grouped.combine(ops.attention(turn(query), turn(key), value, causal=True))

    assert Turned().predict(np.ones((1, 4), int)).shape == (1, 4, 11)
    with pytest.raises(ValueError, match=r"rotary_embedding.*: called while text is generated; expected positions"):
        Turned().generate([1, 2], 3)


def test_layers_that_see_what_is_to_come_are_refused() -> None:
    class Encoder(Grouped):
        def features(self, tokens: Any) -> Any:
            return self.heads(self.tokens(tokens))

    class Masked(Grouped):
        def features(self, tokens: Any) -> Any:
            time = tokens.shape[1]
            return self.heads(self.tokens(tokens), attention_mask=np.ones((1, time, time), bool), use_causal_mask=True)

    for kind in (Encoder, Masked):
        with pytest.raises(ValueError, match=r"multi_head_attention.*: self-attention that is not only causal"):
            kind().generate([1, 2], 3)


def test_a_model_without_its_parts_says_so() -> None:
    with pytest.raises(TypeError, match=r"has no features\(tokens\); expected one; override it"):
        LanguageModel(5, 4).generate([1], 2)
    with pytest.raises(ValueError, match="vocabulary=0; expected a positive integer"):
        LanguageModel(0, 4)


# ---- Tokens that meet elsewhere ------------------------------------------------------------------------------------------


class Around(LanguageModel):
    """An embedding, a function in a layer of its own, and what makes logits of it."""

    def __init__(self, function: Any, *parts: Any, context: int = 12) -> None:
        super().__init__(vocabulary=11, context=context)
        self.function, self.parts = function, list(parts)
        self.tokens, self.head = layers.Embedding(11, 16), layers.Dense(11)

    def features(self, tokens: Any) -> Any:
        return self.function(self.tokens(tokens), *self.parts)

    def logits(self, x: Any) -> Any:
        return self.head(x)


def causal_by_hand(x: Any) -> Any:
    scores = ops.matmul(x, x, transpose_b=True)
    seen = np.tril(np.ones((x.shape[1], x.shape[1]), bool))
    return ops.matmul(ops.softmax(ops.where(seen, scores, np.float32(-1e9))), x)


PLACES = np.arange(12 * 16, dtype=np.float32).reshape(12, 16)


class Counting(layers.Layer):
    """A sum that goes on from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.total = fastnn.Variable(np.zeros((12, 16), np.float32))

    def call(self, x: Any) -> Any:  # type: ignore[override]
        self.total.assign(self.total + ops.mean(x, axes=0))
        return x


MEETING = {
    "lstm": (lambda x, layer: layer(x), lambda: layers.LSTM(16, return_sequences=True)),
    "gru": (lambda x, layer: layer(x), lambda: layers.GRU(16, return_sequences=True)),
    "simple_rnn": (lambda x, layer: layer(x), lambda: layers.SimpleRNN(16, return_sequences=True)),
    "bidirectional": (lambda x, layer: layer(x), lambda: layers.Bidirectional(layers.GRU(8, return_sequences=True))),
    "rnn of steps": (lambda x, layer: layer(x), lambda: layers.RNN(OwnCell(), return_sequences=True)),
    "conv1d": (lambda x, layer: layer(x), lambda: layers.Conv1D(16, 3, padding="causal")),
    "pooling": (lambda x, layer: x + ops.expand_dims(layer(x), 1), layers.GlobalAveragePooling1D),
    "flatten": (lambda x, f, d, r: r(d(f(x))), layers.Flatten, lambda: layers.Dense(192), lambda: layers.Reshape((12, 16))),
    "permuted": (lambda x, dense: ops.transpose(dense(ops.transpose(x, (0, 2, 1))), (0, 2, 1)), lambda: layers.Dense(12)),
    "mean": (lambda x: x - ops.mean(x, axes=1, keepdims=True),),
    "running sum": (lambda x: ops.cumsum(x, axis=1),),
    "the token before": (lambda x: x + ops.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1],),
    "backwards": (lambda x: x[:, ::-1],),
    "softmax over time": (lambda x: x * ops.softmax(x, axis=1),),
    "pairs of tokens": (lambda x: ops.reshape(ops.softmax(ops.reshape(x, (x.shape[0], 6, 32))), x.shape),),
    "attention by hand": (causal_by_hand,),
    "attention of ops": (lambda x: ops.attention(h := ops.expand_dims(x, 2), h, h, causal=True)[:, :, 0],),
    "the first token": (lambda x: x + x[:, :1],),
    "a reordering": (lambda x: ops.take(x, np.arange(12)[::-1].copy(), axis=1),),
    "a table of places": (lambda x: x + PLACES,),
    "a mask of places": (lambda x: ops.where(np.arange(12)[:, None] > 3, x, x * 2.0),),
    "places concatenated": (lambda x: ops.concatenate([x, ops.broadcast_to(PLACES[:, :2], (x.shape[0], 12, 2))], axis=-1),),
    "a state": (lambda x, layer: layer(x), Counting),
    "one for all": (lambda x: ops.mean(x, axes=1),),
}


class OwnCell(layers.Layer):
    state_size = 16

    def call(self, x: Any, states: Any) -> Any:  # type: ignore[override]
        h = states[0] * 0.5 + x
        return h, [h]


@pytest.mark.parametrize("what", MEETING)
def test_tokens_that_meet_elsewhere_are_refused(what: str) -> None:
    function, *makers = MEETING[what]
    model = Around(function, *(make() for make in makers))
    for method in (model.generate, model.stream):
        with pytest.raises(ValueError, match="; expected ") as caught:
            method([1, 2], 3)  # type: ignore[operator]
        assert str(caught.value).startswith(f"{model.name}: {method.__name__}: ")


def test_the_layer_where_tokens_meet_is_named() -> None:
    model = Around(lambda x, layer: layer(x), layers.LSTM(16, return_sequences=True, name="memory"))
    with pytest.raises(ValueError, match=rf"^{model.name}: generate: {model.name}/memory: 'lstm' lets tokens meet"):
        model.generate([1, 2], 3)
    assert model.predict(np.ones((2, 12), int)).shape == (2, 12, 11)


def by_heads(x: Any, attention: Any) -> Any:
    """Round about, but each token by itself, and then causal attention."""
    x = x[:, :, ::-1]
    heads = ops.transpose(ops.reshape(x, (*x.shape[:2], 4, 4)), (0, 2, 1, 3))
    heads = ops.softmax(heads) * ops.sum(ops.square(heads), axes=(1, 3), keepdims=True) + heads[:, 1:2]
    first, second = ops.split(ops.cumsum(heads, axis=1), 2, axis=-1)
    x = ops.reshape(ops.transpose(ops.concatenate([second, ops.tanh(first)], axis=3), (0, 2, 1, 3)), x.shape)
    rows = ops.reshape(
        ops.concatenate([x, ops.ones((*x.shape[:2], 1), x.dtype)], axis=-1)[:, :, 1:], (x.shape[0] * x.shape[1], 16)
    )
    rows = ops.maximum(rows, ops.zeros(rows.shape, x.dtype))
    chosen = ops.take(ops.reshape(ops.matmul(rows, np.eye(16, dtype=np.float32)), x.shape), np.array([3, 1] * 8), axis=2)
    return x + attention(chosen, use_causal_mask=True)


def test_each_token_by_itself_may_go_round_about() -> None:
    model = lively(Around(by_heads, layers.MultiHeadAttention(2, 8)))
    text = [int(t) for t in tokens(1, 5)[0]]
    assert model.generate(text, 20, greedy=True).tolist() == by_hand(model, text, 20)


def test_a_memory_that_all_tokens_see_is_no_meeting() -> None:
    memory = np.random.default_rng(0).standard_normal((1, 5, 16)).astype(np.float32)

    def cross(x: Any, own: Any, attention: Any) -> Any:
        return x + attention(own(x, use_causal_mask=True), ops.broadcast_to(memory, (x.shape[0], 5, 16)))

    model = lively(Around(cross, layers.MultiHeadAttention(2, 8), layers.MultiHeadAttention(2, 8)))
    assert model.generate([1, 2, 3], 20, greedy=True).tolist() == by_hand(model, [1, 2, 3], 20)


def test_one_hot_tokens() -> None:
    class Counted(Around):
        def features(self, tokens: Any) -> Any:
            return self.function(ops.one_hot(tokens, 11), *self.parts)

    def attended(x: Any, dense: Any, attention: Any) -> Any:
        return attention(dense(x), use_causal_mask=True)

    model = lively(Counted(attended, layers.Dense(16), layers.MultiHeadAttention(2, 8)))
    assert model.generate([1, 2, 3], 20, greedy=True).tolist() == by_hand(model, [1, 2, 3], 20)
