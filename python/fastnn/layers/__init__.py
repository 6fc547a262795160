"""Layers, with Keras's names and defaults, composed of `fastnn.ops`."""

from __future__ import annotations

from typing import Any

from fastnn.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from fastnn.layers.attention import GroupQueryAttention, MultiHeadAttention
from fastnn.layers.bidirectional import Bidirectional
from fastnn.layers.convolutional import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from fastnn.layers.core import Activation, ActivityRegularization, Dense, Flatten, Identity, Input, Rescaling
from fastnn.layers.layer import Layer
from fastnn.layers.merging import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from fastnn.layers.noise import AlphaDropout, Dropout, GaussianDropout, GaussianNoise, SpatialDropout1D, SpatialDropout2D
from fastnn.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    Normalization,
    RMSNormalization,
    UnitNormalization,
)
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
from fastnn.layers.recurrent import GRU, LSTM, RNN, SimpleRNN
from fastnn.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell
from fastnn.layers.reshaping import (
    Cropping1D,
    Cropping2D,
    Embedding,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from fastnn.layers.transformer import (
    PositionEmbedding,
    RotaryEmbedding,
    SinusoidalPositions,
    TransformerDecoder,
    TransformerEncoder,
)

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "GroupQueryAttention",
    "Identity",
    "Input",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "PositionEmbedding",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "RotaryEmbedding",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "SinusoidalPositions",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Subtract",
    "TransformerDecoder",
    "TransformerEncoder",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
]


# Keras's second names, and its functions for layers that are made and called at once: `layers.add([a, b])`.
_SECOND_NAMES = {
    **{f"{short}Pool{n}D": f"{long}Pooling{n}D" for short, long in (("Avg", "Average"), ("Max", "Max")) for n in (1, 2)},
    **{
        f"Global{short}Pool{n}D": f"Global{long}Pooling{n}D"
        for short, long in (("Avg", "Average"), ("Max", "Max"))
        for n in (1, 2)
    },
    **{f"Convolution{rest}": f"Conv{rest}" for rest in ("1D", "2D", "1DTranspose", "2DTranspose")},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
    "InputLayer": "Input",
}
_FUNCTIONS = {
    name.lower(): name for name in ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")
}


def __getattr__(name: str) -> Any:
    from fastnn.utils import unknown_name

    if name in _SECOND_NAMES:
        return globals()[_SECOND_NAMES[name]]
    if name in _FUNCTIONS:
        kind = globals()[_FUNCTIONS[name]]
        return lambda inputs, *arguments, **options: kind(*arguments, **options)(inputs)
    if name.startswith("_"):
        raise AttributeError(f"module 'fastnn.layers' has no attribute '{name}'")
    if name == "Lambda":
        raise AttributeError(
            "layer: 'Lambda' does not exist, because no file can hold its function; expected a layer of a class of your own; "
            "derive one from layers.Layer whose call(x) computes it"
        )
    raise AttributeError(str(unknown_name("layer", name, __all__)))
