"""Layers, with Keras's names and defaults, composed of `fastnn.ops`."""

from __future__ import annotations

from typing import Any

from fastnn.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from fastnn.layers.convolutional import Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D, SeparableConv2D
from fastnn.layers.core import Activation, Dense, Dropout, Flatten, Input, Rescaling
from fastnn.layers.layer import Layer
from fastnn.layers.normalization import BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization
from fastnn.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from fastnn.layers.reshaping import Cropping2D, Embedding, Permute, RepeatVector, Reshape, UpSampling2D, ZeroPadding2D

__all__ = [
    "ELU",
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "Input",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling1D",
    "MaxPooling2D",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "UpSampling2D",
    "ZeroPadding2D",
]


def __getattr__(name: str) -> Any:
    from fastnn.utils import unknown_name

    if name.startswith("_"):
        raise AttributeError(f"module 'fastnn.layers' has no attribute '{name}'")
    raise AttributeError(str(unknown_name("layer", name, __all__)))
