"""Layers that move numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers

IMAGES = np.arange(2 * 4 * 5 * 3, dtype=np.float32).reshape(2, 4, 5, 3)

LAYERS: dict[str, tuple[Any, Any]] = {  # the layer, what it makes of IMAGES
    "reshape": (layers.Reshape((5, -1)), IMAGES.reshape(2, 5, 12)),
    "reshape-single": (layers.Reshape((60,)), IMAGES.reshape(2, 60)),
    "permute": (layers.Permute((3, 1, 2)), IMAGES.transpose(0, 3, 1, 2)),
    "padding": (layers.ZeroPadding2D(), np.pad(IMAGES, [(0, 0), (1, 1), (1, 1), (0, 0)])),
    "padding-two": (layers.ZeroPadding2D((2, 0)), np.pad(IMAGES, [(0, 0), (2, 2), (0, 0), (0, 0)])),
    "padding-four": (layers.ZeroPadding2D(((1, 2), (3, 0))), np.pad(IMAGES, [(0, 0), (1, 2), (3, 0), (0, 0)])),
    "cropping": (layers.Cropping2D(1), IMAGES[:, 1:-1, 1:-1]),
    "cropping-four": (layers.Cropping2D(((0, 1), (3, 0))), IMAGES[:, :-1, 3:]),
    "cropping-none": (layers.Cropping2D(), IMAGES),
    "nearest": (layers.UpSampling2D((3, 2)), IMAGES.repeat(3, 1).repeat(2, 2)),
    # By hand: of two pixels a, b the four are a, 3/4 a + 1/4 b, 1/4 a + 3/4 b, b.
    "bilinear": (
        layers.UpSampling2D((1, 2), "bilinear"),
        np.stack(
            [
                0.75 * IMAGES + 0.25 * IMAGES[:, :, [0, 0, 1, 2, 3]],
                0.75 * IMAGES + 0.25 * IMAGES[:, :, [1, 2, 3, 4, 4]],
            ],
            axis=3,
        ).reshape(2, 4, 10, 3),
    ),
}


STEPS = IMAGES.reshape(2, 20, 3)
LAYERS_1D: dict[str, tuple[Any, Any]] = {  # the layer, what it makes of STEPS
    "padding-1d": (layers.ZeroPadding1D(), np.pad(STEPS, [(0, 0), (1, 1), (0, 0)])),
    "padding-1d-two": (layers.ZeroPadding1D((2, 0)), np.pad(STEPS, [(0, 0), (2, 0), (0, 0)])),
    "cropping-1d": (layers.Cropping1D(), STEPS[:, 1:-1]),
    "cropping-1d-two": (layers.Cropping1D((0, 3)), STEPS[:, :-3]),
    "cropping-1d-none": (layers.Cropping1D(0), STEPS),
    "upsampling-1d": (layers.UpSampling1D(3), STEPS.repeat(3, 1)),
}


@pytest.mark.parametrize("name", [*LAYERS, *LAYERS_1D])
def test_what_they_make_of_images(name: str) -> None:
    layer, expected = (LAYERS | LAYERS_1D)[name]
    x = IMAGES if name in LAYERS else STEPS
    np.testing.assert_allclose(layer(x), expected, rtol=1e-6)
    model = fastnn.Sequential([type(layer).from_config(layer.get_config())])
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-6)
    assert repr(model.layers[0].get_config()) == repr(layer.get_config())
    assert model.output_shape == (None, *expected.shape[1:])


def test_repeat_vector() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(layers.RepeatVector(4)(x), np.repeat(x[:, None], 4, 1))


def test_embedding() -> None:
    ids = np.array([[0, 3, 3], [6, 1, 3]])
    layer = layers.Embedding(7, 4)
    y = layer(ids)
    table = layer.get_weights()[0]
    assert np.all(np.abs(table) <= 0.05) and table.std() > 0.01
    np.testing.assert_array_equal(y, table[ids])
    for dtype in ("int32", "uint8", "float64"):
        np.testing.assert_array_equal(layer(ids.astype(dtype)), table[ids])
    traced = fastnn.function(lambda ids: layer(ids), shapes=[("batch", 3)])
    np.testing.assert_array_equal(traced(ids.astype(np.int32)), table[ids])


@pytest.mark.parametrize("bad", [7, -1])
def test_an_embedding_names_itself_and_the_number(bad: int) -> None:
    layer = layers.Embedding(7, 4, name="tokens")
    with pytest.raises(ValueError, match=rf"^tokens: take: index {bad} at position 2 .*; expected 0 <= index < 7"):
        layer(np.array([[0, 1], [bad, 2]]))


def test_an_embedding_learns() -> None:
    """Which of 20 numbers are odd: only a table can tell, and a failed step leaves it as it was."""
    fastnn.set_seed(1)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 20, (256, 1))
    model = fastnn.Sequential(
        [fastnn.Input((1,)), layers.Embedding(20, 4), layers.Flatten(), layers.Dense(2, activation="softmax")]
    )
    model.compile(optimizer=fastnn.optimizers.Adam(0.05), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, x[:, 0] % 2, epochs=15, batch_size=32, verbose=0)
    assert history.history["accuracy"][-1] == 1.0
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"embedding.*index 20 at position 0"):
        model.fit(np.full((4, 1), 20), np.zeros(4, np.int64), batch_size=4, verbose=0)
    for was, now in zip(before, model.get_weights()):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Reshape((2, 0)), "target_shape="),
        (lambda: layers.Reshape((-1, -1)), "at most one -1"),
        (lambda: layers.Reshape(6), "target_shape="),
        (lambda: layers.Permute((0, 1)), "dims="),
        (lambda: layers.Permute((1, 3)), "dims=(1, 3)"),
        (lambda: layers.Permute((2, 1))(IMAGES), "expected 3 axes"),
        (lambda: layers.RepeatVector(0), "n=0"),
        (lambda: layers.RepeatVector(2)(IMAGES), "expected 2 axes"),
        (lambda: layers.ZeroPadding2D(-1), "padding=-1"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), "padding=(1, 2, 3)"),
        (lambda: layers.ZeroPadding2D(((1, 2), (3, 4, 5))), "padding="),
        (lambda: layers.ZeroPadding2D(True), "padding=True"),
        (lambda: layers.ZeroPadding2D()(IMAGES[0]), "expected 4 axes"),
        (lambda: layers.ZeroPadding1D(-1), "padding=-1"),
        (lambda: layers.ZeroPadding1D((1, 2, 3)), "padding=(1, 2, 3)"),
        (lambda: layers.ZeroPadding1D(True), "padding=True"),
        (lambda: layers.ZeroPadding1D()(IMAGES), "expected 3 axes"),
        (lambda: layers.Cropping1D(1.5), "cropping=1.5"),
        (lambda: layers.Cropping1D(10)(STEPS), "crop less"),
        (lambda: layers.Cropping1D()(IMAGES), "expected 3 axes"),
        (lambda: layers.UpSampling1D(0), "size=0"),
        (lambda: layers.UpSampling1D()(IMAGES), "expected 3 axes"),
        (lambda: layers.Cropping2D(1.5), "cropping=1.5"),
        (lambda: layers.Cropping2D(2)(IMAGES), "crop less"),
        (lambda: layers.UpSampling2D(0), "size=0"),
        (lambda: layers.UpSampling2D(2, "bicubic"), "interpolation='bicubic'"),
        (lambda: layers.UpSampling2D()(IMAGES[0]), "expected 4 axes"),
        (lambda: layers.Embedding(0, 4), "input_dim=0"),
        (lambda: layers.Embedding(4, 2.5), "output_dim=2.5"),
    ],
)
def test_what_does_not_fit(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        make()
    assert len(str(caught.value).split("; ")) >= 3, str(caught.value)
