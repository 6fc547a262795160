"""The README's network, for fastnn and for Keras: the same words build it in both."""

from __future__ import annotations

from typing import Any


def mnist_cnn(library: Any, **compile_options: Any) -> Any:
    """A compiled model for images (28, 28, 1) in 0..1 and ten classes; `library` is the module fastnn or keras."""
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"], **compile_options)
    return model
