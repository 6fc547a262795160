"""SimpleRNN, LSTM, GRU, RNN with a cell of one's own, Bidirectional: states, masks, dropout, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops

KINDS = ["SimpleRNN", "LSTM", "GRU"]
STATES = {"SimpleRNN": 1, "LSTM": 2, "GRU": 1}
X = np.random.default_rng(0).standard_normal((3, 8, 4)).astype("f")
MASK = np.random.default_rng(1).random((3, 8)) < 0.6
MASK[0, 0] = MASK[1, 7] = False


class Decaying(layers.Layer):
    """A cell of the user's, with two states of different lengths."""

    state_size = (4, 2)

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight("w", (input_shape[-1], 2), fastnn.initializers.GlorotUniform())

    def call(self, x: Any, states: Any) -> Any:
        h, c = states
        h, c = h * 0.5 + x, c + ops.matmul(x, self.w)
        return ops.concatenate([h, c], axis=1), [h, c]


def layer_of(kind: str, **options: Any) -> Any:
    return getattr(layers, kind)(5, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_a_stateful_layer_are_the_whole(kind: str) -> None:
    whole = layer_of(kind, return_sequences=True)
    expected = whole(X)
    stateful = layer_of(kind, return_sequences=True, stateful=True)
    stateful(X[:, :1])
    stateful.set_weights(whole.get_weights())
    for _ in range(2):
        stateful.reset_states()
        parts = [stateful(X[:, i:j]) for i, j in ((0, 3), (3, 4), (4, 8))]
        assert np.array_equal(np.concatenate(parts, axis=1), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_model_predicts_and_trains_in_pieces(kind: str, tmp_path: Path) -> None:
    model = fastnn.Sequential([layer_of(kind, stateful=True, batch_size=3, input_shape=(4, 4)), layers.Dense(2)])
    recurrent = model.layers[0]
    first, second = model.predict(X[:, :4]), model.predict(X[:, 4:])
    plain = fastnn.Sequential([layer_of(kind, input_shape=(8, 4)), layers.Dense(2)])
    plain.set_weights(model.get_weights())
    assert np.array_equal(second, plain.predict(X))
    assert not np.array_equal(first, second)

    model.save(tmp_path / "model.safetensors")  # the states too
    loaded = fastnn.load_model(tmp_path / "model.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(loaded.layers[0].states, recurrent.states, strict=True))
    assert np.array_equal(loaded.predict(X[:, :4]), model.predict(X[:, :4]))

    recurrent.reset_states()
    assert not any(np.any(state.numpy()) for state in recurrent.states)
    model.compile("sgd", loss="mse")
    model.train_on_batch(X[:, :4], np.ones((3, 2)))
    after = [state.numpy() for state in recurrent.states]
    assert all(np.any(state) for state in after)
    with pytest.raises(ValueError, match=r"`h0` has shape \(3, 5\); expected \(2, 5\)"):
        model.predict(X[:2, :4])
    assert all(np.array_equal(a, b) for a, b in zip(after, recurrent.states))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_mask_is_the_shorter_sequence(kind: str, backwards: bool) -> None:
    """Masked steps at the end, or anywhere: what is left counts as if it stood alone."""
    layer = layer_of(kind, return_state=True, return_sequences=True, go_backwards=backwards)
    y, *states = layer(X, mask=MASK)
    for row in range(3):
        alone, *last = layer(X[row : row + 1, MASK[row]])
        order = MASK[row][::-1] if backwards else MASK[row]
        assert np.array_equal(y[row][order], alone[0])
        assert all(np.array_equal(a[row], b[0]) for a, b in zip(states, last))
        held = np.concatenate([np.zeros((1, 5), "f"), y[row]])[:-1]
        assert np.array_equal(y[row][~order], held[~order])
    only_last = layer_of(kind, go_backwards=backwards)
    only_last(X)
    only_last.set_weights(layer.get_weights())
    assert np.array_equal(only_last(X, mask=MASK), y[:, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_output_is_that_of_the_sequence(kind: str) -> None:
    for backwards in (False, True):
        layer = layer_of(kind, return_sequences=True, go_backwards=backwards)
        last = layer_of(kind, go_backwards=backwards)
        last(X)
        layer(X)
        last.set_weights(layer.get_weights())
        assert np.array_equal(last(X), layer(X)[:, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_states_go_from_an_encoder_to_a_decoder(kind: str) -> None:
    """In a functional model, with gradients through them."""
    source, target = fastnn.Input((8, 4)), fastnn.Input((6, 2))
    _, *states = layer_of(kind, return_state=True)(source)
    hidden = layer_of(kind, return_sequences=True)(target, initial_state=states)
    model = fastnn.Model([source, target], layers.Dense(2)(hidden))
    model.compile(fastnn.optimizers.Adam(0.02), loss="mse")
    before = model.layers[0].get_weights()
    t = np.random.default_rng(3).standard_normal((3, 6, 2)).astype("f")
    losses = [model.train_on_batch([X, t], np.cumsum(t, axis=1) * 0.1) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    assert all(np.any(a != b) for a, b in zip(before, model.layers[0].get_weights()))


def test_a_mask_of_a_functional_model() -> None:
    tokens = fastnn.Input((8,), dtype="int32")
    vectors = layers.Embedding(10, 4)(tokens)
    y = layers.LSTM(5)(vectors, mask=ops.not_equal(tokens, 0))
    model = fastnn.Model(tokens, y)
    padded = np.array([[3, 5, 2, 0, 0, 0, 0, 0], [3, 5, 2, 1, 4, 0, 0, 0]], np.int32)
    other = fastnn.Model(short := fastnn.Input((3,), dtype="int32"), layers.LSTM(5)(layers.Embedding(10, 4)(short)))
    other.set_weights(model.get_weights())
    assert np.array_equal(model.predict(padded)[0], other.predict(padded[:1, :3])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_gates_beside_each_other_are_told_apart(kind: str) -> None:
    """Weights of the layer are those of the op, in Keras's order."""
    layer = layer_of(kind, return_sequences=True)
    layer(X)
    function = {"SimpleRNN": ops.simple_rnn, "LSTM": ops.lstm, "GRU": ops.gru}[kind]
    rng = np.random.default_rng(2)
    weights = [rng.standard_normal(w.shape).astype("f") for w in layer.weights]
    layer.set_weights(weights)
    assert [w.name.split("/")[1] for w in layer.weights] == ["kernel", "recurrent_kernel", "bias"]
    assert np.array_equal(layer(X), function(X, *weights)[0])


def test_initial_weights() -> None:
    lstm = layers.LSTM(6)
    lstm(X)
    kernel, recurrent, bias = lstm.get_weights()
    assert np.array_equal(bias, np.repeat([0, 1, 0, 0], 6).astype("f"))
    assert np.allclose(recurrent @ recurrent.T, np.eye(6), atol=1e-5)
    assert np.abs(kernel).max() <= np.sqrt(6 / (4 + 24))
    assert not np.any(layers.LSTM(6, unit_forget_bias=False, input_shape=(8, 4)).bias_initializer((3,), "float32"))
    square, tall = (fastnn.initializers.Orthogonal(2.0, seed=1)(shape) for shape in ((4, 4), (3, 2, 5)))
    assert np.allclose(square @ square.T, 4 * np.eye(4), atol=1e-5)
    assert np.allclose(tall.reshape(6, 5).T @ tall.reshape(6, 5), 4 * np.eye(5), atol=1e-5)
    with pytest.raises(ValueError, match="at least 2 axes"):
        fastnn.initializers.Orthogonal()((3,))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_the_same_at_all_steps(kind: str) -> None:
    """Of the input: with 0 in the place of what was dropped a plain layer computes the same."""
    layer = layer_of(kind, dropout=0.5, seed=3, return_sequences=True)
    x = np.ones((64, 6, 4), "f")
    plain = layer_of(kind, return_sequences=True)
    y = layer(x, training=True)
    plain(x)
    plain.set_weights(layer.get_weights())
    masks = [np.array([m >> k & 1 for k in range(4)], "f") * 2 for m in range(16)]
    of_each = [plain(np.broadcast_to(m, (1, 6, 4)).astype("f"))[0] for m in masks]
    found = {next(m for m in range(16) if np.array_equal(row, of_each[m])) for row in y}
    assert len(found) > 8
    assert np.array_equal(layer(x), plain(x))
    assert not np.array_equal(layer(x, training=True), y)


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_dropout(kind: str) -> None:
    layer = layer_of(kind, recurrent_dropout=0.5, seed=3, return_sequences=True)
    y = layer(X, training=True)
    plain = layer_of(kind, return_sequences=True)
    plain(X)
    plain.set_weights(layer.get_weights())
    assert np.array_equal(y[:, 0], plain(X)[:, 0])  # there is no state yet
    assert not np.array_equal(y[:, 1:], plain(X)[:, 1:])
    assert np.array_equal(layer(X), plain(X))
    other = layer_of(kind, recurrent_dropout=0.5, seed=3, return_sequences=True)
    other(X)
    other.set_weights(layer.get_weights())
    assert np.array_equal(other(X, training=True), y)  # the same seed, the same masks


def test_a_cell_of_ones_own() -> None:
    cell = Decaying()
    layer = layers.RNN(cell, return_sequences=True, return_state=True)
    y, h, c = layer(X, mask=MASK)
    state, total, output = np.zeros((3, 4)), np.zeros((3, 2)), np.zeros((3, 6))
    for t in range(8):
        counts = MASK[:, t : t + 1]
        total = np.where(counts, total + X[:, t] @ cell.w.numpy(), total)
        state = np.where(counts, state * 0.5 + X[:, t], state)
        output = np.where(counts, np.concatenate([state, total], axis=1), output)
        assert np.allclose(y[:, t], output, atol=1e-5)
    assert np.allclose(h, state, atol=1e-5)
    assert np.allclose(c, total, atol=1e-5)

    model = fastnn.Sequential([layers.RNN(Decaying(), input_shape=(8, 4)), layers.Dense(1)])
    model.compile("adam", loss="mse")
    losses = [model.train_on_batch(X, X.sum(axis=(1, 2))[:, None] * 0.1) for _ in range(60)]
    assert losses[-1] < losses[0]
    with pytest.raises(ValueError, match="257 steps of Decaying, which is unrolled; expected 1 to 256"):
        layers.RNN(Decaying())(np.zeros((1, 257, 4)))


def test_rnn_of_a_librarys_cell_is_the_layer() -> None:
    for cell, kind in ((layers.LSTMCell(5), "LSTM"), (layers.GRUCell(5), "GRU"), (layers.SimpleRNNCell(5), "SimpleRNN")):
        one, two = layers.RNN(cell, return_sequences=True), layer_of(kind, return_sequences=True)
        one(X)
        two(X)
        two.set_weights(one.get_weights())
        assert np.array_equal(one(X), two(X))
        states: Any = [np.zeros((3, 5))] * STATES[kind]
        for t in range(8):
            y, states = cell(X[:, t], states)
            assert np.array_equal(y, two(X)[:, t])


def test_bidirectional() -> None:
    both = layers.Bidirectional(layers.LSTM(5, return_sequences=True, return_state=True))
    y, *states = both(X, mask=MASK)
    forward, backward = (layers.LSTM(5, return_sequences=True, return_state=True, go_backwards=b) for b in (False, True))
    for layer, weights in ((forward, both.get_weights()[:3]), (backward, both.get_weights()[3:])):
        layer(X)
        layer.set_weights(weights)
    (a, *of_a), (b, *of_b) = forward(X, mask=MASK), backward(X, mask=MASK)
    assert np.array_equal(y, np.concatenate([a, b[:, ::-1]], axis=-1))
    assert all(np.array_equal(s, t) for s, t in zip(states, [*of_a, *of_b], strict=True))
    again = both(X, mask=MASK, initial_state=states)
    first, *_ = forward(X, mask=MASK, initial_state=of_a)
    assert np.array_equal(again[0][..., :5], first)
    summed = layers.Bidirectional(layers.GRU(5), merge_mode="ave")
    pair = layers.Bidirectional(layers.GRU(5), merge_mode=None)
    summed(X)
    pair(X)
    pair.set_weights(summed.get_weights())
    assert np.array_equal(summed(X), (pair(X)[0] + pair(X)[1]) * np.float32(0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_regularizers_and_constraints_reach_the_weights(kind: str) -> None:
    layer = layer_of(
        kind, kernel_regularizer="l2", recurrent_regularizer="l1", bias_regularizer="l2", recurrent_constraint="non_neg"
    )
    layer(X)
    kernel, recurrent, _ = layer.get_weights()
    assert np.allclose(sum(layer.losses), 0.01 * (np.square(kernel).sum() + np.abs(recurrent).sum() + 0.01 * 0), rtol=1e-4) or (
        kind == "LSTM"  # whose bias is 1 at the forget gate
        and np.allclose(sum(layer.losses), 0.01 * (np.square(kernel).sum() + np.abs(recurrent).sum() + 5), rtol=1e-4)
    )
    model = fastnn.Sequential([layer, layers.Dense(1)])
    model.compile("sgd", loss="mse")
    model.train_on_batch(X, np.ones((3, 1)))
    assert np.all(layer.get_weights()[1] >= 0)


def test_what_is_refused() -> None:
    for wrong, words in (
        (lambda: layers.LSTM(0), "units=0"),
        (lambda: layers.LSTM(4, activation="relu"), "activation='relu'; expected 'tanh'"),
        (lambda: layers.GRU(4, recurrent_activation="tanh"), "recurrent_activation='tanh'; expected 'sigmoid'"),
        (lambda: layers.SimpleRNN(4, activation="gelu"), "expected 'tanh' or 'relu' or 'linear'"),
        (lambda: layers.GRU(4, dropout=1.0), "dropout=1.0"),
        (lambda: layers.GRU(4, recurrent_dropout=-0.1), "recurrent_dropout=-0.1"),
        (lambda: layers.LSTM(4)(X[0]), "expected 3 axes, (batch, time, channels)"),
        (lambda: layers.LSTM(4)(X, initial_state=[np.zeros((3, 4))]), "initial_state of 1; expected 2"),
        (lambda: layers.GRU(4)(X, initial_state=np.zeros((3, 5))), "`h0` has shape (3, 5)"),
        (lambda: layers.GRU(4)(X, mask=MASK[:, :4]), "`mask` has shape (3, 4)"),
        (lambda: layers.LSTM(4).reset_states(), "reset_states of a layer that keeps none"),
        (lambda: layers.LSTM(4, batch_size=3), "batch_size=3 of a layer that keeps no state"),
        (lambda: layers.LSTM(4, stateful=True)(fastnn.Input((8, 4))), "pass batch_size="),
        (lambda: layers.LSTMCell(4)(X[:, 0], [np.zeros((3, 4))]), "1 states; expected 2"),
        (lambda: layers.Bidirectional(layers.GRU(4), merge_mode="max"), "merge_mode='max'"),
        (lambda: layers.Bidirectional(layers.GRU(4), backward_layer=layers.GRU(4)), "go_backwards=False of both"),
        (
            lambda: layers.Bidirectional(layers.GRU(4), "sum", layers.GRU(3, go_backwards=True))(X),
            "expected as many units in both layers",
        ),
        (
            lambda: layers.Bidirectional(layers.GRU(4), backward_layer=layers.GRU(4, True, go_backwards=True)),
            "expected",
        ),
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            wrong()
        assert words in str(caught.value), str(caught.value)
    for not_there in ({"unroll": True}, {"zero_output_for_mask": True}, {"implementation": 1}):
        with pytest.raises(TypeError, match="unexpected keyword"):
            layers.LSTM(4, **not_there)
    for bad in (lambda: layers.RNN(3), lambda: layers.RNN(layers.Dense(3)), lambda: layers.Bidirectional(layers.Dense(3))):
        with pytest.raises(TypeError, match=r"; expected a .*; "):
            bad()
    with pytest.raises(TypeError, match="`mask` is float32; expected bool"):
        layers.GRU(4)(X, mask=MASK.astype("f"))
    with pytest.raises(TypeError, match="return_state=1"):
        layers.GRU(4, return_state=1)
    stateful = layers.GRU(4, stateful=True)
    stateful(X)
    with pytest.raises(ValueError, match="a batch of 2; expected 3"):
        stateful(X[:2])
