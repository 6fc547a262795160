"""Layers for images and sequences: convolutions, pooling, normalisation. Their ops: test_conv2d.py, test_pool2d.py, ..."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import autodiff, layers, ops
from fastnn.reference import forward_ops

random = np.random.default_rng(11)

# Layer, input shape of a sample, output shape of a sample, number of weights.
LAYERS: list[tuple[Any, tuple[int, ...], tuple[int, ...], int]] = [
    (lambda: layers.Conv2D(6, 3, dilation_rate=2), (9, 8, 4), (5, 4, 6), 222),
    (lambda: layers.Conv2D(6, (3, 2), (2, 1), "same", (1, 2), 2, "relu", False), (9, 8, 4), (5, 8, 6), 72),
    (lambda: layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="tanh"), (10, 4), (10, 6), 78),
    (lambda: layers.Conv1D(6, 3, 2, "same", groups=2, use_bias=False), (9, 4), (5, 6), 36),
    (lambda: layers.Conv2DTranspose(6, 3, 2, "same"), (5, 4, 3), (10, 8, 6), 168),
    (lambda: layers.Conv2DTranspose(6, (2, 3), (2, 3), output_padding=1, use_bias=False), (5, 4, 3), (11, 13, 6), 108),
    (lambda: layers.DepthwiseConv2D(3, 2, "same"), (9, 8, 4), (5, 4, 4), 40),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=3, dilation_rate=2, activation="relu"), (9, 8, 4), (5, 4, 12), 120),
    (lambda: layers.SeparableConv2D(6, 3, padding="same"), (9, 8, 4), (9, 8, 6), 66),
    (lambda: layers.SeparableConv2D(6, 3, 2, depth_multiplier=2, use_bias=False), (9, 8, 4), (4, 3, 6), 120),
    (lambda: layers.Conv1DTranspose(6, 3, 2, "same", activation="relu"), (5, 4), (10, 6), 78),
    (lambda: layers.Conv1DTranspose(6, 3, 2, output_padding=1, use_bias=False), (5, 4), (12, 6), 72),
    (lambda: layers.DepthwiseConv1D(3, 2, "same", depth_multiplier=2), (9, 4), (5, 8), 32),
    (lambda: layers.DepthwiseConv1D(3, dilation_rate=2, use_bias=False), (9, 4), (5, 4), 12),
    (lambda: layers.SeparableConv1D(6, 3, 2, "same"), (9, 4), (5, 6), 42),
    (lambda: layers.SeparableConv1D(6, 3, dilation_rate=2, depth_multiplier=2, use_bias=False), (9, 4), (5, 6), 72),
    (lambda: layers.MaxPooling2D(3, 2, "same"), (9, 8, 4), (5, 4, 4), 0),
    (lambda: layers.AveragePooling2D((2, 3)), (9, 8, 4), (4, 2, 4), 0),
    (lambda: layers.AveragePooling2D(3, 2, "same"), (9, 8, 4), (5, 4, 4), 0),
    (lambda: layers.MaxPooling1D(), (9, 4), (4, 4), 0),
    (lambda: layers.AveragePooling1D(3, 2, "same"), (9, 4), (5, 4), 0),
    (lambda: layers.GlobalAveragePooling2D(), (9, 8, 4), (4,), 0),
    (lambda: layers.GlobalAveragePooling2D(keepdims=True), (9, 8, 4), (1, 1, 4), 0),
    (lambda: layers.GlobalMaxPooling2D(), (30, 31, 4), (4,), 0),
    (lambda: layers.GlobalMaxPooling2D(keepdims=True), (9, 8, 4), (1, 1, 4), 0),
    (lambda: layers.GlobalAveragePooling1D(), (9, 4), (4,), 0),
    (lambda: layers.GlobalMaxPooling1D(keepdims=True), (9, 4), (1, 4), 0),
    (lambda: layers.BatchNormalization(), (9, 8, 4), (9, 8, 4), 16),
    (lambda: layers.BatchNormalization(center=False, scale=False), (5,), (5,), 10),
    (lambda: layers.LayerNormalization(), (9, 4), (9, 4), 8),
    (lambda: layers.LayerNormalization(center=False), (9, 4), (9, 4), 4),
    (lambda: layers.RMSNormalization(), (9, 4), (9, 4), 4),
    (lambda: layers.GroupNormalization(2), (9, 8, 4), (9, 8, 4), 8),
    (lambda: layers.GroupNormalization(-1, scale=False), (9, 8, 4), (9, 8, 4), 4),
    (lambda: layers.UnitNormalization((1, -1)), (9, 4), (9, 4), 0),
    (lambda: layers.Normalization(mean=0.5, variance=4), (9, 4), (9, 4), 0),
    (lambda: layers.Normalization((1, 3)), (3, 8, 4), (3, 8, 4), 25),
]


def flattened(model: list[Any], outputs: int = 3) -> fastnn.Sequential:
    return fastnn.Sequential([*model, layers.Flatten(), layers.Dense(outputs, activation="softmax")])


@pytest.mark.parametrize(("make", "input_shape", "output_shape", "params"), LAYERS)
def test_shapes_config_and_one_step(make: Any, input_shape: Any, output_shape: Any, params: int) -> None:
    fastnn.set_seed(0)
    layer = make()
    x = random.standard_normal((6, *input_shape)).astype("f")
    y = layer(x)
    assert y.shape == (6, *output_shape) and y.dtype == np.float32 and layer.count_params() == params
    again = type(layer).from_config({**layer.get_config(), "name": "again"})
    assert again(x).shape == y.shape
    again.set_weights(layer.get_weights())
    assert np.array_equal(again(x), y)
    assert {**again.get_config(), "name": layer.name} == layer.get_config()

    labels = np.arange(6) % 3
    model = flattened([type(layer).from_config({**layer.get_config(), "name": "inner"})])
    model.compile(fastnn.optimizers.SGD(0.05, global_clipnorm=1.0), loss="sparse_categorical_crossentropy")
    first = model.train_on_batch(x, labels)
    for _ in range(30):
        last = model.train_on_batch(x, labels)
    assert last < first  # type: ignore[operator]
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(("make", "input_shape", "output_shape", "params"), LAYERS)
def test_one_trace_serves_every_batch_size(make: Any, input_shape: Any, output_shape: Any, params: int) -> None:
    """Loss and gradients of a traced step at batches of 1, 7 and 32 are those of fresh traces."""
    layer = make()
    layer(random.standard_normal((2, *input_shape)).astype("f"))
    weights = layer.trainable_variables

    def loss(x: Any) -> Any:
        return ops.mean(ops.square(layer(x, training=True)))

    def step(x: Any) -> Any:
        value, by_x = fastnn.value_and_grad(loss)(x)
        return value, by_x, fastnn.grad(lambda: loss(x), variables=weights)() if weights else []

    symbolic = fastnn.function(step, shapes=[("batch", *input_shape)])
    for batch in (1, 7, 32):
        x = random.standard_normal((batch, *input_shape)).astype("f")
        fixed = fastnn.function(step)
        (value, dx, dw), (value_2, dx_2, dw_2) = symbolic.compute(x), fixed.compute(x)
        assert np.array_equal(value, value_2) and np.array_equal(dx, dx_2)
        for a, b in zip(dw, dw_2, strict=True):
            assert np.array_equal(a, b)


# ---- Normalisation ---------------------------------------------------------------------------------------------------------


def test_batch_normalization_keeps_moving_averages() -> None:
    x = random.standard_normal((3, 32, 5)).astype("f") * 3 + 2
    layer = layers.BatchNormalization(momentum=0.9)
    mean, variance = np.zeros(5), np.ones(5)
    for batch in x:
        y = layer(batch, training=True)
        np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(y.var(axis=0), 1, atol=1e-3)
        mean = mean * 0.9 + batch.mean(axis=0, dtype="d") * 0.1
        variance = variance * 0.9 + batch.var(axis=0, dtype="d") * 0.1
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)
    before = layer.get_weights()
    np.testing.assert_allclose(layer(x[0]), (x[0] - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-4)
    for a, b in zip(before, layer.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert [w.name.rpartition("/")[2] for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.name.rpartition("/")[2] for w in layer.trainable_variables] == ["gamma", "beta"]
    assert layer.trainable


def test_moving_averages_in_fit_evaluate_and_a_failed_step() -> None:
    x = random.standard_normal((64, 5)).astype("f") * 2 + 1
    y = (x.sum(axis=1) > 5).astype(np.int64)
    model = fastnn.Sequential([layers.BatchNormalization(input_shape=(5,)), layers.Dense(2, activation="softmax")])
    norm: Any = model.layers[0]
    model.compile("adam", loss="sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=16, epochs=3, verbose=0)
    after_fit = model.get_weights()
    assert not np.any(norm.moving_mean.numpy() == 0)
    model.evaluate(x, y)
    model.predict(x)
    model(x)
    for a, b in zip(after_fit, model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    model(x, training=True)
    assert not np.array_equal(norm.moving_mean.numpy(), after_fit[2])
    before = model.get_weights()
    bad = x.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        model.train_on_batch(bad, y)
    for a, b in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_statistics_have_the_same_bits_for_any_number_of_threads() -> None:
    x = random.standard_normal((37, 19, 23, 24)).astype("f")
    found, results = fastnn.num_threads(), []
    try:
        for threads in (1, 2, 3):
            fastnn.set_num_threads(threads)
            results.append([*ops.batch_norm(x), ops.group_norm(x, groups=8), ops.layer_norm(x)])
    finally:
        fastnn.set_num_threads(found)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


AXES = [(-1, (0, 1)), (1, (0, 2)), ((1, 2), (0,)), ((-1, 1), (0,)), (None, (0, 1, 2))]


@pytest.mark.parametrize(("axis", "over"), AXES)
def test_normalization_adapts(axis: Any, over: tuple[int, ...]) -> None:
    data = random.standard_normal((40, 3, 4)) * [1, 10, 1e-3, 5] + [1e3, 0, 0, 7]
    mean, variance = data.mean(axis=over), data.var(axis=over)
    expected = (data - data.mean(axis=over, keepdims=True)) / data.std(axis=over, keepdims=True)
    batches = [data[:7], data[7:8], (data[8:], np.zeros(32))]
    for seen in (data, batches, iter(batches), [data.astype("f")]):
        layer = layers.Normalization(axis)
        layer.adapt(seen)
        assert [w.shape for w in layer.get_weights()] == [mean.shape, mean.shape, ()]
        np.testing.assert_allclose(layer.get_weights()[0], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.get_weights()[1], variance, rtol=1e-3)
    np.testing.assert_allclose(layer(data.astype("f")), expected, rtol=2e-3, atol=2e-3)
    back = layers.Normalization(axis, invert=True)
    back.adapt(data)
    np.testing.assert_allclose(back(layer(data)), data, rtol=1e-3, atol=1e-4)
    given = layers.Normalization(axis, mean, variance)
    np.testing.assert_allclose(given(data), layer(data), rtol=1e-3, atol=1e-3)
    assert given.get_weights() == []


def test_normalization_adapts_within_a_model() -> None:
    data = random.standard_normal((40, 3)) * [1, 10, 5] + [1e3, 0, 7]
    norm = layers.Normalization(input_shape=(3,))
    model = fastnn.Sequential([norm, layers.Dense(2)])
    model.compile("sgd", "mse")
    before = model.predict(data)
    norm.adapt(data)
    assert not np.allclose(model.predict(data), before)
    first = norm.get_weights()
    model.fit(data, np.zeros((40, 2)), verbose=0)
    for was, now in zip(first, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    norm.adapt(data * 2)  # replaces what was
    np.testing.assert_allclose(norm.get_weights()[0], data.mean(0) * 2, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"a batch of shape \(40, 2\); expected \(3,\) along axis=-1; "):
        norm.adapt(data[:, :2])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.UnitNormalization(2)(np.ones((3, 4))), "2"),
        (lambda: layers.Normalization(mean=1.0), "one of mean and variance"),
        (lambda: layers.Normalization(mean=[1.0], variance=1.0), "as many of both"),
        (lambda: layers.Normalization(mean=1.0, variance=-1.0), "no variance below 0"),
        (lambda: layers.Normalization(mean=np.nan, variance=1.0), "finite"),
        (lambda: layers.Normalization(0)(np.ones((3, 4))), "axis=0 of an input with 2 axes"),
        (lambda: layers.Normalization(2)(np.ones((3, 4))), "axis=2 of an input with 2 axes"),
        (lambda: layers.Normalization((1, -1))(np.ones((3, 4))), "axis=(1, -1)"),
        (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])(np.ones((3, 4))), "a mean of shape (2,)"),
        (lambda: layers.Normalization(mean=1.0, variance=1.0).adapt(np.ones((3, 4))), "a layer whose mean is given"),
        (lambda: layers.Normalization().adapt(np.array([[1.0, np.inf]])), "not finite"),
        (lambda: layers.Normalization().adapt(np.ones((0, 4))), "no samples"),
        (lambda: layers.Normalization().adapt([]), "no samples"),
        (lambda: layers.Normalization().adapt([np.ones((2, 4)), np.ones((2, 3))]), "a batch of shape (2, 3)"),
        (lambda: layers.BatchNormalization(axis=1), "axis=1"),
        (lambda: layers.BatchNormalization(momentum=1.5), "momentum=1.5"),
        (lambda: layers.LayerNormalization(epsilon=0), "epsilon=0"),
        (lambda: layers.RMSNormalization(axis=0), "axis=0"),
        (lambda: layers.GroupNormalization(0), "groups=0"),
        (lambda: layers.GroupNormalization(3)(np.ones((2, 4), "f")), "groups=3 for 4 channels"),
        (lambda: layers.BatchNormalization()(np.ones(3, "f")), "expected a last axis of known length"),
        (lambda: layers.Conv2D(6, 3, groups=4), "groups=4 for 6 filters"),
        (lambda: layers.Conv2D(6, 3, groups=2)(np.ones((1, 5, 5, 3), "f")), "groups=2 for 3 input channels"),
        (lambda: layers.Conv2D(6, 3, strides=2, dilation_rate=2), "strides=(2, 2) with dilation_rate=(2, 2)"),
        (lambda: layers.Conv2D(6, 3, padding="causal"), "padding='causal'"),
        (lambda: layers.Conv1D(6, 3)(np.ones((1, 5), "f")), "expected 3 axes, (batch, time, channels)"),
        (lambda: layers.Conv1D(6, 3, padding="full"), "expected 'valid' or 'same' or 'causal'"),
        (lambda: layers.Conv2DTranspose(6, 3, strides=2, output_padding=2), "output_padding=2 with strides=(2, 2)"),
        (lambda: layers.Conv1DTranspose(6, 3, strides=2, output_padding=2), "output_padding=2 with strides=(2,)"),
        (lambda: layers.Conv1DTranspose(6, 3)(np.ones((1, 5, 5, 2))), "expected 3 axes"),
        (lambda: layers.DepthwiseConv1D(3)(np.ones((1, 5))), "expected 3 axes"),
        (lambda: layers.SeparableConv1D(2, 3, padding="causal"), "padding='causal'"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier=0"),
        (lambda: layers.MaxPooling1D(0), "pool_size=0"),
        (lambda: layers.AveragePooling1D()(np.ones((1, 5, 5, 2), "f")), "expected 3 axes"),
        (lambda: layers.GlobalMaxPooling2D()(np.ones((1, 5), "f")), "expected 4 axes"),
        (lambda: layers.GlobalAveragePooling1D()(np.ones((1, 5), "f")), "expected 3 axes"),
    ],
)
def test_what_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"; expected .*; ") as caught:
        make()
    assert words in str(caught.value)


# ---- Pooling ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 1, 1, 3), (2, 5, 7, 3), (1, 16, 16, 2), (2, 17, 16, 3), (1, 3, 700, 2), (1, 600, 2, 2)])
def test_global_max_pool2d(shape: tuple[int, ...]) -> None:
    x = random.permutation(int(np.prod(shape))).reshape(shape).astype("d")
    np.testing.assert_array_equal(ops.global_max_pool2d(x), x.max(axis=(1, 2)))
    u = random.standard_normal((shape[0], shape[3]))
    _, (dx,) = autodiff.pullback(ops.global_max_pool2d, [x], [u])
    np.testing.assert_array_equal(dx, np.where(x == x.max(axis=(1, 2), keepdims=True), u[:, None, None], 0))
    # The first of equal values, in row-major order.
    _, (dx,) = autodiff.pullback(ops.global_max_pool2d, [np.zeros(shape)], [u])
    assert dx is not None
    np.testing.assert_array_equal(dx[:, 0, 0], u)
    assert np.count_nonzero(dx) == u.size
    x[0, -1, -1, 0] = np.nan
    assert np.isnan(ops.global_max_pool2d(x)[0, 0])


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, None, "valid"), (3, 2, "same"), (4, 1, "valid"), (5, 3, "same")])
def test_pooling_over_time(size: int, stride: int | None, padding: str) -> None:
    x = random.standard_normal((2, 11, 3))
    options: Any = {"pool_size": (size, 1), "strides": (stride or size, 1), "padding": padding}
    for op, two in ((ops.max_pool1d, "max_pool2d"), (ops.average_pool1d, "average_pool2d")):
        expected = forward_ops[two](x[:, :, None], **options)
        expected = expected[0] if isinstance(expected, tuple) else expected
        np.testing.assert_allclose(op(x, pool_size=size, strides=stride, padding=padding), expected[:, :, 0], rtol=1e-13)
