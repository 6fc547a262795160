"""Layers that make one tensor of several; their numbers are compared with Keras's in test_keras.py."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers

random = np.random.default_rng(5)
A, B = (random.standard_normal((3, 4, 5)).astype("f") for _ in range(2))
ROW = random.standard_normal((3, 5)).astype("f")

KINDS = [
    (layers.Add, lambda *xs: sum(xs)),
    (layers.Multiply, lambda *xs: np.prod(np.broadcast_arrays(*xs), axis=0)),
    (layers.Average, lambda *xs: sum(xs) / len(xs)),
    (layers.Maximum, lambda *xs: np.max(np.broadcast_arrays(*xs), axis=0)),
    (layers.Minimum, lambda *xs: np.min(np.broadcast_arrays(*xs), axis=0)),
]


@pytest.mark.parametrize(("kind", "expected"), KINDS)
def test_lists_of_any_length(kind: Any, expected: Any) -> None:
    for xs in ([A], [A, B], [A, B, A * 2, B - A], [A, ROW], [ROW, A], [A[:, :1], B]):
        wide = [x if x.ndim == 3 else x[:, None] for x in xs]
        np.testing.assert_allclose(kind()(xs), expected(*wide), rtol=1e-6, atol=1e-7)
        function = getattr(layers, kind.__name__.lower())
        np.testing.assert_array_equal(function(xs), kind()(xs))


@pytest.mark.parametrize("axes", [(1, 2), (2, 1), (-1, -2), 1, 2, -1, (1, 1)])
@pytest.mark.parametrize("normalize", [False, True])
def test_dot(axes: Any, normalize: bool) -> None:
    a, b = axes if isinstance(axes, tuple) else (axes, axes)
    x, z = random.standard_normal((2, 3, 4)), random.standard_normal((2, 4, 3))
    z = z if x.shape[a] == z.shape[b] else z.transpose(0, 2, 1)
    assert x.shape[a] == z.shape[b]
    moved = [np.moveaxis(x, a, -1), np.moveaxis(z, b, -1)]
    if normalize:
        moved = [m / np.linalg.norm(m, axis=-1, keepdims=True) for m in moved]
    expected = np.einsum("bin,bjn->bij", *moved)
    np.testing.assert_allclose(layers.Dot(axes, normalize)([x, z]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layers.dot([x, z], axes, normalize=normalize), expected, rtol=1e-5, atol=1e-6)


def test_the_cosine_of_nothing_is_zero_and_has_a_gradient() -> None:
    dot = layers.Dot(1, normalize=True)
    assert dot([np.zeros((1, 3)), np.ones((1, 3))])[0, 0] == 0
    gradient = fastnn.grad(lambda x: fastnn.ops.sum(dot([x, np.ones((1, 3), "f")])))(np.zeros((1, 3), "f"))
    assert np.isfinite(gradient).all()


def test_a_residual_network_with_branches() -> None:
    fastnn.set_seed(3)
    x = fastnn.Input((8, 8, 3))
    y = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    y = layers.Add()([y, layers.Conv2D(6, 1)(x)])
    gate = layers.Dense(6, activation="sigmoid")(layers.GlobalAveragePooling2D()(y))
    y = layers.Multiply()([y, gate])
    both = layers.concatenate([layers.GlobalMaxPooling2D()(y), layers.GlobalAveragePooling2D()(y)])
    model = fastnn.Model(x, layers.Dense(2, activation="softmax")(both))
    model.compile(fastnn.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    images = random.standard_normal((64, 8, 8, 3)).astype("f")
    labels = (images[..., 0].mean(axis=(1, 2)) > 0).astype(np.int64)
    images[labels == 1, ..., 0] += 0.5
    history = model.fit(images, labels, epochs=30, verbose=0).history
    assert history["accuracy"][-1] > 0.95


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Add()(A), "expected a list of inputs"),
        (lambda: layers.Add()([]), "expected a list of inputs"),
        (lambda: layers.Add()([A, A[:2]]), "(3, 4, 5), (2, 4, 5); expected (batch, ...) with as many samples"),
        (lambda: layers.Add()([A, A[:1]]), "as many samples"),
        (lambda: layers.Add()([A, A[:, :3]]), "(3, 4, 5)"),
        (lambda: layers.Add()([fastnn.Input((4,)), fastnn.Input((5,))]), "(batch, 4)"),
        (lambda: layers.Subtract()([A]), "a list of 1; expected 2"),
        (lambda: layers.Subtract()([A, A, A]), "a list of 3; expected 2"),
        (lambda: layers.Concatenate(axis=0)([A, B]), "axis=0"),
        (lambda: layers.Concatenate(axis=3)([A, B]), "1 to 2 or -2 to -1"),
        (lambda: layers.Concatenate(axis=-3)([A, B]), "axis=-3"),
        (lambda: layers.Concatenate()([A, B[:, :2]]), "(3, 2, 5)"),
        (lambda: layers.Concatenate()([A, ROW]), "(3, 5)"),
        (lambda: layers.Dot(0), "axes=0"),
        (lambda: layers.Dot((1, 2, 3)), "axes=(1, 2, 3)"),
        (lambda: layers.Dot((1, (2, 3))), "axes=(1, (2, 3))"),
        (lambda: layers.Dot(1)([A]), "a list of 1; expected 2"),
        (lambda: layers.Dot((1, 2))([A, B]), "of lengths 4 and 5"),
        (lambda: layers.Dot(3)([A, B]), "axes=(3, 3)"),
        (lambda: layers.Dot(-3)([A, B]), "axes=(-3, -3)"),
    ],
)
def test_what_does_not_fit(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        make()
    assert len(str(caught.value).split("; ")) >= 3, str(caught.value)


def test_wrong_types() -> None:
    with pytest.raises(TypeError, match=r"axis=1\.5; expected .*; "):
        layers.Concatenate(1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"normalize=1; expected .*; "):
        layers.Dot(1, 1)  # type: ignore[arg-type]
