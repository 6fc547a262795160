"""What is compared with Keras 3: classes and their arguments, in Keras's words, which are also ours.

`make_fixtures.py` gives every case to Keras and records weights and results; `tests/test_keras.py` gives it to fastnn and
compares. This module imports neither. Inputs come from a seed made of the case's name, so that a new case changes no other one.

To add a case: add its line below, and run `python tests/keras/make_fixtures.py` with an interpreter that has keras; it records
what is not recorded yet.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Case:
    """A class, its arguments, and what it is given: the shape of a layer's input or those of several, or a kind of targets and
    predictions.

    An argument that is a pair (name of a schedule or layer, its arguments) stands for the schedule or layer.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    given: Any = None
    training: bool = False  # of layers: their results while training, and the weights after it, are compared too
    trainable: bool = True
    exclude: tuple[str, ...] = ()  # of optimizers: exclude_from_weight_decay(var_names=)
    apart: bool = False  # several inputs are arguments of their own, not a list
    options: dict[str, Any] = field(default_factory=dict)  # of layers: what the call takes by name
    called_with: tuple[str, ...] = ()  # of recurrent layers: "mask", and the names of the initial states

    def label(self) -> str:
        words = [f"{k}={v}" for k, v in self.arguments.items()]
        words += [str(self.given)] if self.given is not None else []
        words += ["training"] if self.training else []
        words += ["frozen"] if not self.trainable else []
        words += [f"exclude={','.join(self.exclude)}"] if self.exclude else []
        words += [f"{k}={v if isinstance(v, bool) else 'given'}" for k, v in self.options.items()]
        words += [f"called with {','.join(self.called_with)}"] if self.called_with else []
        return " ".join([self.name, *words])

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of a layer's inputs."""
        return list(self.given) if self.several() else [self.given]

    def several(self) -> bool:
        return isinstance(self.given, tuple) and bool(self.given) and isinstance(self.given[0], tuple)

    def called(self, layer: Any, x: Any, **options: Any) -> Any:
        """What the layer gives for these inputs."""
        return layer(*x, **self.options, **options) if self.apart else layer(x, **self.options, **options)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(self.label().encode()))


IMAGE, STEPS, ROW = (7, 6, 4), (9, 4), (5,)
# Queries and values, by themselves or of two sequences, and which of 4 queries sees which of 6 keys: each sees one at least.
_SELF, _CROSS = ((4, 5), (4, 5)), ((4, 5), (6, 3))
_MASK = np.add.outer(np.arange(4), 2 * np.arange(6)) % 3 != 1

LAYERS = [
    Case("Dense", {"units": 3}, ROW),
    Case("Dense", {"units": 3, "activation": "tanh", "use_bias": False}, (4, 5)),
    Case("Activation", {"activation": "softplus"}, ROW),
    Case("Dropout", {"rate": 0.4}, ROW),
    Case("Flatten", {}, (3, 2, 4)),
    Case("Flatten", {}, ()),
    Case("Reshape", {"target_shape": (4, -1)}, (2, 6)),
    Case("Permute", {"dims": (3, 1, 2)}, (2, 3, 4)),
    Case("RepeatVector", {"n": 3}, ROW),
    Case("Rescaling", {"scale": 0.25, "offset": -1.5}, ROW),
    Case("Rescaling", {"scale": 1 / 255}, ROW),
    Case("Embedding", {"input_dim": 9, "output_dim": 3}, "indices"),
    Case("Conv1D", {"filters": 5, "kernel_size": 3, "use_bias": False}, STEPS),
    Case("Conv1D", {"filters": 5, "kernel_size": 3, "padding": "same", "strides": 2}, STEPS),
    Case("Conv1D", {"filters": 5, "kernel_size": 4, "padding": "same", "strides": 2}, STEPS),
    Case("Conv1D", {"filters": 5, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, "activation": "relu"}, STEPS),
    Case("Conv1D", {"filters": 4, "kernel_size": 2, "padding": "causal", "strides": 2, "groups": 2}, STEPS),
    Case("Conv2D", {"filters": 3, "kernel_size": 3}, IMAGE),
    Case("Conv2D", {"filters": 3, "kernel_size": (3, 2), "strides": 2, "padding": "same", "activation": "relu"}, IMAGE),
    Case("Conv2D", {"filters": 3, "kernel_size": (2, 4), "strides": (3, 1), "padding": "same", "use_bias": False}, IMAGE),
    Case("Conv2D", {"filters": 3, "kernel_size": 2, "dilation_rate": (2, 3), "padding": "same"}, IMAGE),
    Case("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2}, IMAGE),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "use_bias": False}, (4, 3, 2)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (4, 3, 2)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": (2, 3), "strides": (3, 1), "padding": "same"}, (4, 3, 2)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": (2, 3), "strides": (3, 1)}, (4, 3, 2)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": 4, "strides": 2, "padding": "same", "activation": "elu"}, (4, 3, 2)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1}, (4, 3, 2)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1}, (4, 3, 2)),
    Case("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "dilation_rate": 2}, (4, 3, 2)),
    Case("DepthwiseConv2D", {"kernel_size": 3, "use_bias": False}, IMAGE),
    Case("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2}, IMAGE),
    Case("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 2, "depth_multiplier": 3, "activation": "relu6"}, IMAGE),
    Case("SeparableConv2D", {"filters": 3, "kernel_size": 3}, IMAGE),
    Case(
        "SeparableConv2D", {"filters": 3, "kernel_size": 2, "dilation_rate": 2, "activation": "mish", "use_bias": False}, IMAGE
    ),
    Case("SeparableConv2D", {"filters": 3, "kernel_size": 2, "strides": 2, "padding": "same", "depth_multiplier": 2}, IMAGE),
    Case("MaxPooling1D", {}, STEPS),
    Case("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, STEPS),
    Case("AveragePooling1D", {"pool_size": 2}, STEPS),
    Case("AveragePooling1D", {"pool_size": 4, "strides": 3, "padding": "same"}, STEPS),
    Case("MaxPooling2D", {}, IMAGE),
    Case("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, IMAGE),
    Case("AveragePooling2D", {"pool_size": 2}, IMAGE),
    Case("AveragePooling2D", {"pool_size": (3, 2), "strides": (2, 3), "padding": "same"}, IMAGE),
    Case("GlobalAveragePooling1D", {}, STEPS),
    Case("GlobalAveragePooling1D", {"keepdims": True}, STEPS),
    Case("GlobalMaxPooling1D", {}, STEPS),
    Case("GlobalMaxPooling1D", {"keepdims": True}, STEPS),
    Case("GlobalAveragePooling2D", {}, IMAGE),
    Case("GlobalAveragePooling2D", {"keepdims": True}, IMAGE),
    Case("GlobalMaxPooling2D", {}, IMAGE),
    Case("GlobalMaxPooling2D", {"keepdims": True}, IMAGE),
    Case("ZeroPadding2D", {}, IMAGE),
    Case("ZeroPadding2D", {"padding": ((1, 0), (2, 3))}, IMAGE),
    Case("ZeroPadding2D", {"padding": (2, 1)}, IMAGE),
    Case("Cropping2D", {}, IMAGE),
    Case("Cropping2D", {"cropping": ((1, 0), (2, 3))}, IMAGE),
    Case("Cropping2D", {"cropping": (2, 1)}, IMAGE),
    Case("UpSampling2D", {}, (3, 2, 4)),
    Case("UpSampling2D", {"size": (2, 3), "interpolation": "bilinear"}, (3, 4, 2)),
    Case("BatchNormalization", {}, ROW, training=True),
    Case("BatchNormalization", {"momentum": 0.7, "epsilon": 0.1}, (3, 2, 4), training=True),
    Case("BatchNormalization", {"center": False, "scale": False}, (3, 4), training=True),
    Case("BatchNormalization", {}, (3, 4), training=True, trainable=False),
    Case("LayerNormalization", {}, ROW),
    Case("LayerNormalization", {"epsilon": 0.1, "scale": False}, (3, 4)),
    Case("LayerNormalization", {"center": False}, (3, 4)),
    Case("RMSNormalization", {}, ROW),
    Case("RMSNormalization", {"epsilon": 0.1}, (3, 4)),
    Case("GroupNormalization", {"groups": 2}, IMAGE),
    Case("GroupNormalization", {"groups": -1, "epsilon": 0.1, "center": False}, IMAGE),
    Case("GroupNormalization", {"groups": 1, "scale": False}, (8,)),
    Case("ReLU", {}, ROW),
    Case("ReLU", {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.3}, (4, 5)),
    Case("LeakyReLU", {}, ROW),
    Case("LeakyReLU", {"negative_slope": 0.1}, ROW),
    Case("PReLU", {}, ROW),
    Case("PReLU", {"shared_axes": [1, 2]}, IMAGE),
    Case("ELU", {}, ROW),
    Case("ELU", {"alpha": 0.5}, ROW),
    Case("Softmax", {}, (4, 5)),
    Case("Softmax", {"axis": 1}, (4, 5)),
    Case("Identity", {}, ROW),
    Case("ActivityRegularization", {"l1": 0.02, "l2": 0.05}, (4, 5)),
    Case("Add", {}, ((4, 5), (4, 5), (4, 5))),
    Case("Add", {}, ((2, 3, 5), (5,))),
    Case("Add", {}, ((4, 1), (4, 5))),
    Case("Subtract", {}, ((4, 5), (4, 5))),
    Case("Subtract", {}, ((5,), (2, 3, 5))),
    Case("Multiply", {}, ((4, 5), (4, 5), (1, 5))),
    Case("Multiply", {}, ((5,), (4, 5))),
    Case("Average", {}, ((4, 5), (4, 5), (4, 1))),
    Case("Maximum", {}, ((4, 5), (4, 5), (5,))),
    Case("Minimum", {}, ((4, 5), (4, 5))),
    Case("Concatenate", {}, ((4, 5), (4, 2), (4, 1))),
    Case("Concatenate", {"axis": 1}, ((4, 5), (2, 5))),
    Case("Concatenate", {"axis": -2}, ((4, 3, 5), (4, 2, 5))),
    Case("Dot", {"axes": 1}, (ROW, ROW)),
    Case("Dot", {"axes": -1}, ((3, 5), ROW)),
    Case("Dot", {"axes": (1, 2), "normalize": True}, ((5, 3), (2, 5))),
    Case("Dot", {"axes": (2, 1)}, ((2, 5, 3), (5, 4, 2))),
    Case("Dot", {"axes": 1}, (ROW, (5, 2))),
    Case("Dropout", {"rate": 0.4, "noise_shape": (None, 1, None)}, (4, 5)),
    Case("AlphaDropout", {"rate": 0.4, "noise_shape": (None, 1)}, ROW),
    Case("GaussianDropout", {"rate": 0.4}, ROW),
    Case("GaussianNoise", {"stddev": 0.4}, ROW),
    Case("SpatialDropout1D", {"rate": 0.4}, STEPS),
    Case("SpatialDropout2D", {"rate": 0.4}, (3, 2, 4)),
    Case("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (5, 2)),
    Case("Conv1DTranspose", {"filters": 3, "kernel_size": 2, "strides": 3, "use_bias": False}, (5, 2)),
    Case("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1, "activation": "elu"}, (5, 2)),
    Case("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "dilation_rate": 2}, (5, 2)),
    Case("DepthwiseConv1D", {"kernel_size": 3, "padding": "same", "strides": 2, "depth_multiplier": 2}, STEPS),
    Case("DepthwiseConv1D", {"kernel_size": 2, "dilation_rate": 2, "activation": "relu6", "use_bias": False}, STEPS),
    Case("SeparableConv1D", {"filters": 3, "kernel_size": 3, "padding": "same", "strides": 2}, STEPS),
    Case(
        "SeparableConv1D",
        {"filters": 3, "kernel_size": 2, "depth_multiplier": 2, "dilation_rate": 2, "activation": "mish", "use_bias": False},
        STEPS,
    ),
    Case("ZeroPadding1D", {}, STEPS),
    Case("ZeroPadding1D", {"padding": (1, 2)}, STEPS),
    Case("Cropping1D", {}, STEPS),
    Case("Cropping1D", {"cropping": (2, 0)}, STEPS),
    Case("UpSampling1D", {}, STEPS),
    Case("UpSampling1D", {"size": 3}, STEPS),
    Case("UnitNormalization", {}, (4, 5)),
    Case("UnitNormalization", {"axis": (1, 2)}, (4, 5)),
    Case("Normalization", {}, ROW),
    Case("Normalization", {"axis": (1, 3)}, (3, 2, 4)),
    Case("Normalization", {"axis": None, "invert": True}, (4, 5)),
    Case("Normalization", {"mean": [0.5, 1.0, -1.0, 0.0, 2.0], "variance": [2.0, 1.0, 0.5, 0.0, 1.0]}, (4, 5)),
    Case("Normalization", {"mean": 0.5, "variance": 2.0, "axis": None}, (4, 5)),
    Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, _SELF, apart=True),
    Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.3}, _SELF, apart=True),
    Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, _SELF, apart=True, options={"use_causal_mask": True}),
    Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": 4, "use_bias": False}, _CROSS, apart=True),
    Case("MultiHeadAttention", {"num_heads": 3, "key_dim": 2, "output_shape": 7}, (*_CROSS, (6, 2)), apart=True),
    Case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, _CROSS, apart=True, options={"attention_mask": _MASK}),
    Case("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, _SELF, apart=True),
    Case(
        "GroupQueryAttention",
        {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 1, "dropout": 0.3, "use_bias": False},
        _CROSS,
        apart=True,
        options={"attention_mask": _MASK},
    ),
    Case("SimpleRNN", {"units": 3, "return_sequences": True}, STEPS),
    Case("SimpleRNN", {"units": 3, "activation": "relu", "use_bias": False, "go_backwards": True}, STEPS),
    Case("SimpleRNN", {"units": 3, "activation": "linear", "return_state": True}, STEPS, called_with=("h",)),
    Case("SimpleRNN", {"units": 3, "return_sequences": True, "stateful": True}, STEPS, called_with=("mask",)),
    Case("LSTM", {"units": 3, "return_sequences": True}, STEPS),
    Case("LSTM", {"units": 3, "use_bias": False, "unit_forget_bias": False, "stateful": True}, STEPS),
    Case("LSTM", {"units": 3, "return_sequences": True, "return_state": True, "go_backwards": True}, STEPS),
    Case("LSTM", {"units": 3, "return_state": True}, STEPS, called_with=("mask", "h", "c")),
    Case("LSTM", {"units": 3, "return_sequences": True, "go_backwards": True}, STEPS, called_with=("mask",)),
    Case("LSTM", {"units": 3, "activation": "tanh", "recurrent_activation": "sigmoid"}, STEPS),
    Case("GRU", {"units": 3, "return_sequences": True}, STEPS),
    Case("GRU", {"units": 3, "reset_after": False, "return_sequences": True}, STEPS),
    Case("GRU", {"units": 3, "use_bias": False, "go_backwards": True, "stateful": True}, STEPS),
    Case("GRU", {"units": 3, "return_state": True}, STEPS, called_with=("mask", "h")),
    Case("GRU", {"units": 3, "activation": "tanh", "recurrent_activation": "sigmoid"}, STEPS),
    Case(
        "GRU", {"units": 3, "reset_after": False, "return_state": True, "return_sequences": True}, STEPS, called_with=("mask",)
    ),
    Case("RNN", {"cell": ("LSTMCell", {"units": 3}), "return_sequences": True}, STEPS),
    Case("RNN", {"cell": ("GRUCell", {"units": 3}), "go_backwards": True, "return_state": True}, STEPS),
    Case("RNN", {"cell": ("SimpleRNNCell", {"units": 3}), "stateful": True}, STEPS),
    Case("Bidirectional", {"layer": ("LSTM", {"units": 3, "return_sequences": True})}, STEPS),
    Case("Bidirectional", {"layer": ("GRU", {"units": 3}), "merge_mode": "sum"}, STEPS, called_with=("mask",)),
    Case("Bidirectional", {"layer": ("SimpleRNN", {"units": 3, "return_sequences": True}), "merge_mode": "mul"}, STEPS),
    Case("Bidirectional", {"layer": ("LSTM", {"units": 3, "return_state": True}), "merge_mode": "ave"}, STEPS),
    Case(
        "Bidirectional",
        {
            "layer": ("GRU", {"units": 3, "return_sequences": True}),
            "backward_layer": ("LSTM", {"units": 2, "return_sequences": True, "go_backwards": True}),
            "merge_mode": None,
        },
        STEPS,
    ),
]
# Layers that Keras has not, with what tests of files and copies give them.
OTHERS = [
    Case("PositionEmbedding", {"sequence_length": 9}, (4, 5)),
    Case("RotaryEmbedding", {"max_wavelength": 100.0, "interleaved": True}, (4, 2, 6)),
    Case("SinusoidalPositions", {}, (4, 5)),
    Case("TransformerEncoder", {"intermediate_dim": 7, "num_heads": 2, "activation": "swiglu", "dropout": 0.1}, (5, 4)),
    Case("TransformerDecoder", {"intermediate_dim": 7, "num_heads": 2, "cross_attention": True}, ((5, 4), (3, 6)), apart=True),
]
# Layers that are trained for ten steps, between a Dense and the loss: the first case of each class, and all of several inputs.
# Embedding takes no Dense's results; the masks and the noise of the others, and of dropout, are of another generator.
_NOT_TRAINED = {
    "Embedding",
    "Dropout",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
}
TRAINED = [
    Case("Dense", {"units": 3, "activity_regularizer": "l2"}, ROW),
    Case("Conv2D", {"filters": 3, "kernel_size": 2, "activation": "tanh", "activity_regularizer": "l1"}, (4, 3, 2)),
    Case("SimpleRNN", {"units": 3, "activation": "relu"}, (2, 4)),
    Case("LSTM", {"units": 3, "go_backwards": True}, STEPS),
    Case("GRU", {"units": 3, "reset_after": False}, STEPS),
]
TRAINED += [
    case
    for i, case in enumerate(LAYERS)
    if case.name not in _NOT_TRAINED
    and not case.arguments.get("dropout")
    and (case.several() or case.name not in {other.name for other in LAYERS[:i]})
]
RATE = 0.005  # of their SGD: with more, some products grow beyond all bounds

# What is given to losses and metrics: targets, and the predictions that go with them.
_CROSS_ENTROPIES: list[Case] = [
    Case("BinaryCrossentropy", {}, "binary"),
    Case("BinaryCrossentropy", {}, "binary certain"),
    Case("BinaryCrossentropy", {"from_logits": True}, "binary logits"),
    Case("BinaryCrossentropy", {"label_smoothing": 0.2}, "binary"),
    Case("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "binary logits"),
    Case("CategoricalCrossentropy", {}, "classes"),
    Case("CategoricalCrossentropy", {}, "classes certain"),
    Case("CategoricalCrossentropy", {}, "classes unnormalised"),
    Case("CategoricalCrossentropy", {"from_logits": True}, "classes logits"),
    Case("CategoricalCrossentropy", {"label_smoothing": 0.2}, "classes"),
    Case("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "classes logits"),
    Case("SparseCategoricalCrossentropy", {}, "labels"),
    Case("SparseCategoricalCrossentropy", {}, "labels certain"),
    Case("SparseCategoricalCrossentropy", {}, "labels unnormalised"),
    Case("SparseCategoricalCrossentropy", {"from_logits": True}, "labels logits"),
    Case("SparseCategoricalCrossentropy", {"ignore_class": -1}, "labels ignored"),
    Case("SparseCategoricalCrossentropy", {"ignore_class": 2, "from_logits": True}, "labels logits"),
]
_OTHERS = [
    Case("CategoricalHinge", {}, "classes logits"),
    Case("CosineSimilarity", {}, "numbers"),
    Case("CosineSimilarity", {"axis": 1}, "numbers"),
    Case("CosineSimilarity", {}, "numbers zero"),
    Case("Hinge", {}, "binary logits"),
    Case("Hinge", {}, "signs"),
    Case("KLDivergence", {}, "distributions"),
    Case("KLDivergence", {}, "classes certain"),
    Case("MeanAbsoluteError", {}, "numbers"),
    Case("MeanAbsolutePercentageError", {}, "numbers"),
    Case("MeanAbsolutePercentageError", {}, "numbers zero"),
    Case("MeanSquaredError", {}, "numbers"),
    Case("MeanSquaredLogarithmicError", {}, "positive"),
    Case("MeanSquaredLogarithmicError", {}, "numbers"),
    Case("Poisson", {}, "positive"),
    Case("SquaredHinge", {}, "binary logits"),
    Case("SquaredHinge", {}, "signs"),
]
LOSSES = [
    *_CROSS_ENTROPIES,
    *_OTHERS,
    Case("BinaryFocalCrossentropy", {}, "binary"),
    Case("BinaryFocalCrossentropy", {"gamma": 3.0, "from_logits": True, "label_smoothing": 0.1}, "binary logits"),
    Case("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4}, "binary"),
    Case("BinaryFocalCrossentropy", {"apply_class_balancing": True, "label_smoothing": 0.1}, "binary"),
    Case("CategoricalFocalCrossentropy", {}, "classes"),
    Case("CategoricalFocalCrossentropy", {"alpha": 0.5, "gamma": 3.0, "label_smoothing": 0.1}, "classes"),
    Case("CategoricalFocalCrossentropy", {"from_logits": True}, "classes logits"),
    Case("Huber", {}, "numbers"),
    Case("Huber", {"delta": 0.4}, "numbers"),
    Case("LogCosh", {}, "numbers"),
    Case("LogCosh", {}, "numbers large"),
]
METRICS = [
    *_CROSS_ENTROPIES,
    *_OTHERS,
    Case("BinaryAccuracy", {}, "binary"),
    Case("BinaryAccuracy", {"threshold": 0.7}, "binary"),
    Case("BinaryAccuracy", {"threshold": 0.0}, "binary logits"),
    Case("CategoricalAccuracy", {}, "classes"),
    Case("CategoricalAccuracy", {}, "classes ties"),
    Case("LogCoshError", {}, "numbers"),
    Case("Mean", {}, "values"),
    Case("RootMeanSquaredError", {}, "numbers"),
    Case("SparseCategoricalAccuracy", {}, "labels"),
    Case("SparseCategoricalAccuracy", {}, "labels ties"),
    *(Case(name, {}, "binary") for name in ("FalseNegatives", "FalsePositives", "TrueNegatives", "TruePositives")),
    *(
        Case(name, {"thresholds": 0.7}, "binary")
        for name in ("FalseNegatives", "FalsePositives", "TrueNegatives", "TruePositives")
    ),
    Case("Precision", {}, "binary"),
    Case("Precision", {"thresholds": 0.7}, "binary"),
    Case("Recall", {}, "binary"),
    Case("Recall", {"thresholds": 0.7}, "binary"),
    *(
        Case(name, arguments, "classes rows")
        for name in ("Precision", "Recall")
        for arguments in (
            {"top_k": 2},
            {"class_id": 1, "thresholds": 0.2},
            {"top_k": 3, "class_id": 2},
            {"top_k": 3, "thresholds": 0.25},
        )
    ),
    Case("AUC", {}, "binary"),
    Case("AUC", {"num_thresholds": 20, "curve": "PR"}, "binary"),
    Case("AUC", {"num_thresholds": 20, "summation_method": "minoring"}, "binary"),
    Case("AUC", {"from_logits": True}, "binary logits"),
    Case("F1Score", {"average": "macro"}, "classes rows"),
    Case("F1Score", {"average": "micro", "threshold": 0.4}, "classes rows"),
    Case("F1Score", {"average": "weighted"}, "classes rows"),
    Case("R2Score", {}, "numbers rows"),
    Case("R2Score", {"class_aggregation": "variance_weighted_average"}, "numbers rows"),
    Case("TopKCategoricalAccuracy", {"k": 2}, "classes rows"),
    Case("SparseTopKCategoricalAccuracy", {"k": 2}, "labels rows"),
]

_COSINE = ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "alpha": 0.1})
OPTIMIZERS = [
    Case("SGD"),
    Case("SGD", {"learning_rate": 0.2, "momentum": 0.9}),
    Case("SGD", {"learning_rate": 0.2, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    Case("SGD", {"learning_rate": 0.2, "clipvalue": 0.05}),
    Case("SGD", {"learning_rate": 0.2, "clipnorm": 0.1}),
    Case("SGD", {"learning_rate": 0.2, "global_clipnorm": 0.1}),
    Case("SGD", {"learning_rate": _COSINE, "momentum": 0.5}),
    Case("Adam"),
    Case("Adam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.01}),
    Case("Adam", {"learning_rate": 0.05, "amsgrad": True, "beta_2": 0.5}),
    Case("Adam", {"learning_rate": 0.05, "weight_decay": 0.1, "global_clipnorm": 0.1}),
    Case("Adam", {"learning_rate": _COSINE, "weight_decay": 0.1}),
    Case("AdamW"),
    Case("AdamW", {"learning_rate": 0.05, "weight_decay": 0.2}, exclude=("bias",)),
    Case("AdamW", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.5, "epsilon": 0.01, "amsgrad": True}),
    Case("RMSprop"),
    Case("RMSprop", {"learning_rate": 0.02, "rho": 0.8, "momentum": 0.7, "epsilon": 0.01}),
    Case("RMSprop", {"learning_rate": 0.02, "centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    Case("Adagrad"),
    Case("Adagrad", {"learning_rate": 0.2, "initial_accumulator_value": 0.01, "epsilon": 0.01, "weight_decay": 0.1}),
    Case("Lion"),
    Case("Lion", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9, "weight_decay": 0.1}),
    Case("Muon"),
    Case("Muon", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": False, "adam_lr_ratio": 0.5, "weight_decay": 0.1}),
    Case("Muon", {"learning_rate": 0.05, "rms_rate": None, "ns_steps": 3, "adam_weight_decay": 0.1}),
    Case("Muon", {"learning_rate": 0.05, "exclude_layers": ["last"], "clipnorm": 0.1}),
    Case("Muon", {"learning_rate": 0.05, "muon_a": 3.0, "muon_b": -4.0, "muon_c": 1.8, "adam_beta_1": 0.8, "adam_beta_2": 0.9}),
]

SCHEDULES = [
    Case("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.5}),
    Case("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.5, "staircase": True}),
    Case("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.5}),
    Case("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 30, "decay_rate": 0.5, "staircase": True}),
    Case("PiecewiseConstantDecay", {"boundaries": [10, 40], "values": [0.1, 0.02, 0.005]}),
    Case("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 40}),
    Case("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 40, "end_learning_rate": 0.01, "power": 2.0}),
    Case("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "power": 0.5, "cycle": True}),
    Case("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 40, "alpha": 0.05}),
    Case("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 40, "warmup_target": 0.1, "warmup_steps": 10}),
    Case("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 12}),
    Case(
        "CosineDecayRestarts",
        {"initial_learning_rate": 0.1, "first_decay_steps": 12, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1},
    ),
]
STEPS_OF_SCHEDULES = [0, 1, 5, 9, 10, 11, 12, 13, 20, 29, 30, 35, 39, 40, 41, 61, 100, 1000]

_PLAIN = """celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid mish
relu relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus sparse_sigmoid squareplus swish tanh tanh_shrink"""
ACTIVATIONS = [
    *(Case(name, {}, "grid") for name in _PLAIN.split()),
    Case("celu", {"alpha": 0.5}, "grid"),
    Case("elu", {"alpha": 0.5}, "grid"),
    Case("gelu", {"approximate": True}, "grid"),
    Case("glu", {}, "pairs"),
    Case("glu", {"axis": 1}, "rows"),
    Case("hard_shrink", {"threshold": 1.25}, "grid"),
    Case("leaky_relu", {"negative_slope": 0.1}, "grid"),
    Case("soft_shrink", {"threshold": 1.25}, "grid"),
    Case("squareplus", {"b": 1.0}, "grid"),
    Case("log_softmax", {}, "rows"),
    Case("log_softmax", {"axis": 1}, "rows"),
    Case("softmax", {}, "rows"),
    Case("softmax", {"axis": 1}, "rows"),
    Case("sparsemax", {}, "rows"),
]

# Their numbers are drawn by each library's own generator, so the spread of many is compared.
INITIALIZERS = [
    Case(name, arguments, shape)
    for name, arguments in (
        ("Constant", {"value": 0.3}),
        ("GlorotNormal", {}),
        ("GlorotUniform", {}),
        ("HeNormal", {}),
        ("HeUniform", {}),
        ("Ones", {}),
        ("Orthogonal", {}),
        ("Orthogonal", {"gain": 2.0}),
        ("RandomNormal", {}),
        ("RandomNormal", {"mean": 0.5, "stddev": 0.2}),
        ("RandomUniform", {}),
        ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
        ("Zeros", {}),
    )
    for shape in ((200, 100), (3, 3, 40, 80))
]

# Whole models, trained for two epochs by `fit`: (layers, loss, metrics, arguments of fit and weighted_metrics of compile).
_IMAGES = [
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "use_bias": False}),
    ("BatchNormalization", {"momentum": 0.9}),
    ("Activation", {"activation": "gelu"}),
    ("MaxPooling2D", {}),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 2, "activation": "silu"}),
    ("GroupNormalization", {"groups": 5}),
    ("GlobalAveragePooling2D", {}),
    ("Dense", {"units": 3, "activation": "softmax"}),
]
MODELS = {
    "labels": (_IMAGES, "sparse_categorical_crossentropy", ["accuracy"], {}),
    "class_weight": (_IMAGES, "sparse_categorical_crossentropy", ["accuracy"], {"class_weight": {0: 2.0, 2: 0.5}}),
    "sample_weight": (_IMAGES, "sparse_categorical_crossentropy", ["accuracy"], {"sample_weight": "random"}),
    "weighted_metrics": (
        _IMAGES,
        "sparse_categorical_crossentropy",
        ["accuracy"],
        {"sample_weight": "random", "weighted_metrics": ["accuracy", "sparse_categorical_crossentropy"]},
    ),
    "validation_split": (_IMAGES, "sparse_categorical_crossentropy", ["accuracy"], {"validation_split": 0.25}),
    "steps": (
        [
            ("Embedding", {"input_dim": 9, "output_dim": 4}),
            ("Conv1D", {"filters": 5, "kernel_size": 3, "padding": "causal", "activation": "relu"}),
            ("LayerNormalization", {}),
            ("AveragePooling1D", {"pool_size": 2, "padding": "same"}),
            ("PReLU", {}),
            ("Flatten", {}),
            ("RMSNormalization", {}),
            ("Dense", {"units": 2}),
        ],
        "mean_squared_error",
        ["mae", "cosine_similarity"],
        {},
    ),
}


def rounded(x: Any) -> Array:
    """Few digits, so that they compress."""
    return np.asarray(x).round(2).astype(np.float32)


def input_of(case: Case) -> Any:
    """What a layer is given."""
    if case.given == "indices":
        return case.rng().integers(0, case.arguments["input_dim"], (4, 6)).astype(np.int32)
    if case.several():
        rng = case.rng()
        return [rounded(rng.standard_normal((3, *shape))) for shape in case.shapes()]
    return rounded(case.rng().standard_normal((3, *case.given)))


def call_of(case: Case) -> dict[str, Any]:
    """What else a recurrent layer is called with. The first row of the mask is false at both ends."""
    rng = np.random.default_rng([zlib.crc32(case.label().encode()), 7])
    options: dict[str, Any] = {}
    if "mask" in case.called_with:
        mask = rng.random((3, case.given[0])) < 0.6
        mask[0, 0] = mask[0, -1] = False
        options["mask"] = mask
    if states := [rounded(rng.standard_normal((3, case.arguments["units"]))) for name in case.called_with if name != "mask"]:
        options["initial_state"] = states
    return options


def with_layers(arguments: dict[str, Any], layers: Any) -> dict[str, Any]:
    """The arguments with layers of that module in the place of their descriptions."""
    made = dict(arguments)
    for key in ("layer", "backward_layer", "cell"):
        if key in made:
            name, options = made[key]
            made[key] = getattr(layers, name)(**options)
    return made


def joined(results: Any) -> Array:
    """One array of a layer's results."""
    if isinstance(results, (list, tuple)):
        return np.concatenate([np.ravel(np.asarray(part)) for part in results])
    return np.asarray(results)


def batch_of(case: Case, step: int, output_shape: tuple[int, ...]) -> tuple[Any, Array]:
    """Inputs and targets for a layer that is trained."""
    rng = np.random.default_rng([zlib.crc32(case.label().encode()), step])
    x = [rounded(rng.standard_normal((8, *shape))) for shape in case.shapes()]
    return x if case.several() else x[0], rounded(rng.standard_normal((8, *output_shape)))


def values_of(case: Case) -> Array:
    """What an activation is given."""
    if case.given in ("rows", "pairs"):
        return rounded(case.rng().standard_normal((5, 4, 3 if case.given == "rows" else 6)) * 3)
    return np.concatenate([np.linspace(-6, 6, 97), [-90.0, -30.0, -15.0, 15.0, 30.0, 80.0]]).astype(np.float32)


def random_weight(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    """Numbers in the place of initial weights; variances are above 0, and a count is an integer."""
    if "count" in name:
        return np.float32(3)
    return rounded(rng.uniform(0.3, 2.0, shape) if "variance" in name else rng.standard_normal(shape) * 0.7)


def targets_of(case: Case, part: int) -> tuple[Array, Array]:
    """y_true and y_pred of a batch for losses and metrics; the batches 0 and 1 have different lengths."""
    rng = np.random.default_rng([zlib.crc32(str(case.given).encode()), part])
    shape = ((4, 3, 5), (2, 3, 5))[part]
    what, *how = case.given.split()
    if "rows" in how:  # without the axis in the middle
        shape = (shape[0] * shape[1], shape[2])
    logits = rounded(rng.standard_normal(shape) * 2)
    if what in ("numbers", "values"):
        y_true, y_pred = rounded(rng.standard_normal(shape)), logits
        if "zero" in how:
            y_true[0, 0] = 0.0
            y_pred[1, 1] = 0.0
        return y_true, y_pred * (np.float32(20) if "large" in how else np.float32(1))
    if what == "positive":
        return rounded(np.abs(logits)), rounded(rng.uniform(0.05, 3, shape))
    if what == "signs":
        return np.sign(rng.standard_normal(shape)).astype(np.float32), logits
    if what == "binary":
        y_true = rng.integers(0, 2, shape).astype(np.float32)
        y_pred = rounded(rng.uniform(0.03, 0.97, shape))
        if "certain" in how:
            y_pred[0, 0] = y_true[0, 0]
            y_pred[1, 1] = 1 - y_true[1, 1]
        return y_true, logits if "logits" in how else y_pred
    labels = rng.integers(0, shape[-1], shape[:-1]).astype(np.int32)
    y_pred = rounded(rng.uniform(0.05, 1, shape))
    if "unnormalised" not in how:
        y_pred = y_pred / y_pred.sum(-1, keepdims=True)
    if "certain" in how:
        y_pred[0, 0] = np.eye(shape[-1])[labels[0, 0]]
        y_pred[1, 1] = np.eye(shape[-1])[(labels[1, 1] + 1) % shape[-1]]
    if "ties" in how:
        y_pred = rng.integers(0, 2, shape).astype(np.float32)
    if "logits" in how:
        y_pred = logits
    if "ignored" in how:
        labels[rng.uniform(size=labels.shape) < (0.6, 0.2)[part]] = -1
    if what == "distributions":
        y_true = rounded(rng.uniform(0.05, 1, shape))
        return y_true / y_true.sum(-1, keepdims=True), y_pred
    return (labels if what == "labels" else np.eye(shape[-1], dtype=np.float32)[labels]), y_pred


def training_data(name: str) -> tuple[Array, Array, Array]:
    """x, y and weights of samples for the models, and for the optimizers ("optimizers")."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name == "optimizers":
        x, y = rng.standard_normal((10, 8, 3)), rng.standard_normal((10, 8, 2))
        return rounded(x), rounded(y), np.ones(8, np.float32)
    weights = rounded(rng.uniform(0.2, 2, 20))
    if name == "steps":
        return rng.integers(0, 9, (20, 8)).astype(np.int32), rounded(rng.standard_normal((20, 2))), weights
    return rounded(rng.standard_normal((20, 8, 6, 2))), rng.integers(0, 3, 20).astype(np.int32), weights
