"""Layers, with Keras's names and defaults, composed of `fastnn.ops`."""

from __future__ import annotations

from typing import Any

from fastnn.layers.convolutional import Conv2D
from fastnn.layers.core import Activation, Dense, Dropout, Flatten, Input, Rescaling
from fastnn.layers.layer import Layer
from fastnn.layers.pooling import MaxPooling2D
from fastnn.layers.reshaping import Cropping2D, Embedding, Permute, RepeatVector, Reshape, UpSampling2D, ZeroPadding2D

__all__ = [
    "Activation",
    "Conv2D",
    "Cropping2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Input",
    "Layer",
    "MaxPooling2D",
    "Permute",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "UpSampling2D",
    "ZeroPadding2D",
]


def __getattr__(name: str) -> Any:
    from fastnn.utils import unknown_name

    if name.startswith("_"):
        raise AttributeError(f"module 'fastnn.layers' has no attribute '{name}'")
    raise AttributeError(str(unknown_name("layer", name, __all__)))
