"""Positions and the blocks of a Transformer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import activations, initializers, ops
from fastnn.layers.attention import MultiHeadAttention
from fastnn.layers.cache import current_cache
from fastnn.layers.core import Dense
from fastnn.layers.layer import InputShape, Layer, check_size, given, shape_text
from fastnn.layers.noise import Dropout
from fastnn.layers.normalization import LayerNormalization
from fastnn.tracing import Variable
from fastnn.utils import check_number, check_seed


def _rows(layer: Layer, x: Any, rows: int) -> int:
    """How many rows of a table `x`, (batch, time, features), needs."""
    layer.expect_rank(x, 3, "(batch, time, features)")
    time = x.shape[1]
    if not isinstance(time, int) or time > rows:
        raise ValueError(
            f"{layer.name}: input of shape {shape_text(x)}; expected at most {rows} in the second axis, a known number; cut "
            "the input, or give the layer more positions"
        )
    return time


class PositionEmbedding(Layer):
    """A vector of weights for each position, added to the input: `y[b, t] = x[b, t] + position_embeddings[t]`.

    Called as `layer(x, positions)` sample `b` begins at row `positions[b]`, an int32 or int64: so text is continued.

    Args:
        sequence_length: how many positions there are.
        initializer: of the table, shape `(sequence_length, features)`.

    Input and output shape `(batch, time, features)`.

    Raises:
        ValueError: a length that is no positive integer; when called, more time than positions, and when run, a position
            behind the last.

    Example:
        >>> layer = layers.PositionEmbedding(10, initializer="ones")
        >>> layer(np.zeros((1, 2, 3))), layer.count_params()
        (array([[[1., 1., 1.],
                [1., 1., 1.]]], dtype=float32), 30)
    """

    def __init__(
        self,
        sequence_length: int,
        initializer: initializers.InitializerLike = "uniform",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.sequence_length = check_size(self.name, "sequence_length", sequence_length)
        self.initializer = initializers.get(initializer)
        self.position_embeddings: Variable

    def build(self, input_shape: InputShape) -> None:
        features = input_shape[-1] if len(input_shape) == 3 else None
        if features is None:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected (batch, time, features) with a known number of "
                "features; reshape the input"
            )
        self.position_embeddings = self.add_weight("position_embeddings", (self.sequence_length, features), self.initializer)

    def call(self, x: Any, positions: Any = None) -> Any:
        time = _rows(self, x, self.sequence_length)
        if positions is not None:
            places = ops.expand_dims(positions, 1) + np.arange(time, dtype=str(positions.dtype))
        elif (cache := current_cache()) is not None:
            places = cache.places(time)
        else:
            return x + ops.slice(self.position_embeddings, (0, 0), (time, x.shape[2]))
        return x + ops.take(self.position_embeddings, places, axis=0)

    def get_config(self) -> dict[str, Any]:
        return {"sequence_length": self.sequence_length, "initializer": self.initializer, **super().get_config()}


class SinusoidalPositions(Layer):
    """Waves of many lengths added to the input: `y[b, t] = x[b, t] + w[t]`.

    `w[t, 2 i] = sin(t r_i)`, `w[t, 2 i + 1] = cos(t r_i)` with `r_i = max_wavelength^(-2 i / features)`.

    Args:
        max_wavelength: of the last wave, over 2 pi.

    Input and output shape `(batch, time, features)`.

    Raises:
        ValueError: a wave length that is not above 0; when called, lengths of time or features that are not known.

    Source:
        Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.5, arXiv:1706.03762.

    Example:
        >>> layers.SinusoidalPositions()(np.zeros((1, 2, 4))).round(2)
        array([[[0.  , 1.  , 0.  , 1.  ],
                [0.84, 0.54, 0.01, 1.  ]]], dtype=float32)
    """

    def __init__(
        self, max_wavelength: float = 10000.0, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.max_wavelength = check_number(
            self.name, "max_wavelength", max_wavelength, 10000.0, "a finite number > 0", lambda w: w > 0.0
        )

    def call(self, x: Any) -> Any:  # type: ignore[override]
        self.expect_rank(x, 3, "(batch, time, features)")
        _, time, features = x.shape
        if not isinstance(time, int) or not isinstance(features, int):
            raise ValueError(
                f"{self.name}: input of shape {shape_text(x)}; expected known lengths behind the batch; give the Input's shape"
            )
        cache = current_cache()
        rows = time if cache is None else cache.context
        angles = np.arange(rows)[:, None] * self.max_wavelength ** (-(np.arange(features) // 2 * 2) / features)
        waves = np.where(np.arange(features) % 2 == 0, np.sin(angles), np.cos(angles))
        waves = waves.astype(str(x.dtype))
        return x + (waves if cache is None else ops.take(waves, cache.places(time), axis=0))

    def get_config(self) -> dict[str, Any]:
        return {"max_wavelength": self.max_wavelength, **super().get_config()}


class RotaryEmbedding(Layer):
    """Queries or keys turned by angles that grow with their place; see `fastnn.ops.rotary`.

    It stands between `project` and `ops.attention` of an attention layer. Called as `layer(x, positions)` the first row of
    sample `b` is at place `positions[b]`, an int32 or int64.

    Args:
        max_wavelength: of the slowest turn, over 2 pi: the base of the frequencies.
        interleaved: whether a pair are neighbours, instead of numbers half a head apart.

    Input and output shape `(batch, time, heads, size)`.

    Raises:
        ValueError: a wave length that is not above 0; when called, another number of axes, an odd size; in a model that
            generates text, whose cache knows nothing of it.

    Source:
        Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: enhanced Transformer with rotary position embedding", 2021,
        arXiv:2104.09864.

    Example:
        >>> class Attention(layers.GroupQueryAttention):
        ...     def __init__(self, **options):
        ...         super().__init__(**options)
        ...         self.rotary = layers.RotaryEmbedding()
        ...     def call(self, x):
        ...         query, key, value = self.project(x)
        ...         return self.combine(ops.attention(self.rotary(query), self.rotary(key), value, causal=True))
        >>> Attention(head_dim=4, num_query_heads=4, num_key_value_heads=2)(np.ones((1, 3, 8))).shape
        (1, 3, 8)
    """

    def __init__(
        self,
        max_wavelength: float = 10000.0,
        interleaved: bool = False,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.max_wavelength = check_number(
            self.name, "max_wavelength", max_wavelength, 10000.0, "a finite number > 0", lambda w: w > 0.0
        )
        self.interleaved = interleaved

    def call(self, x: Any, positions: Any = None) -> Any:
        if positions is None and current_cache() is not None:
            raise ValueError(
                f"{self.name}: called while text is generated; expected positions, because tokens come one by one, and an "
                "attention that keeps its keys, which one of your own does not; generate with MultiHeadAttention"
            )
        return ops.rotary(x, positions, base=self.max_wavelength, interleaved=self.interleaved)

    def get_config(self) -> dict[str, Any]:
        return {"max_wavelength": self.max_wavelength, "interleaved": self.interleaved, **super().get_config()}


class _Block(Layer):
    """What encoder and decoder share: sub-layers with normalisation, dropout and a sum around each."""

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float,
        activation: activations.ActivationLike,
        layer_norm_epsilon: float,
        kernel_initializer: initializers.InitializerLike,
        bias_initializer: initializers.InitializerLike,
        normalize_first: bool,
        output_initializer: initializers.InitializerLike | None,
        seed: int | None,
        name: str | None,
        input_shape: Sequence[int] | None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.intermediate_dim = check_size(self.name, "intermediate_dim", intermediate_dim)
        self.num_heads = check_size(self.name, "num_heads", num_heads)
        self.dropout = check_number(self.name, "dropout", dropout, 0.1, "0 <= dropout < 1", lambda rate: 0.0 <= rate < 1.0)
        self.gated = activation == "swiglu"
        self.activation = activations.get("silu" if self.gated else activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.output_initializer = None if output_initializer is None else initializers.get(output_initializer)
        self.seed = None if seed is None else check_seed(self.name, seed)

    def build(self, input_shape: InputShape) -> None:
        width = input_shape[-1] if len(input_shape) == 3 else None
        if width is None:
            raise ValueError(
                f"{self.name}: input of shape {input_shape}; expected (batch, time, features) with a known number of "
                "features; reshape the input"
            )
        if width % self.num_heads:
            raise ValueError(
                f"{self.name}: {self.num_heads} heads for {width} features; expected a number of heads that divides them; "
                f"choose another one, or features such as {-(-width // self.num_heads) * self.num_heads}"
            )
        self._dropouts = 0
        self._make(width)
        if not self._trainable:
            self.trainable = False  # of the layers just made too

    def _make(self, width: int) -> None:
        """Makes the sub-layers of a block in the order of their names."""
        self.attention, self.attention_norm, self.attention_dropout = self._attention(width), self._norm(), self._dropout()
        initial: dict[str, Any] = {"kernel_initializer": self.kernel_initializer, "bias_initializer": self.bias_initializer}
        last: dict[str, Any] = {**initial, "kernel_initializer": self.output_initializer or self.kernel_initializer}
        self.intermediate = Dense(self.intermediate_dim, self.activation, **initial)
        self.gate = Dense(self.intermediate_dim, **initial) if self.gated else None
        self.output_dense = Dense(width, **last)
        self.feedforward_norm, self.feedforward_dropout = self._norm(), self._dropout()

    def _attention(self, width: int) -> MultiHeadAttention:
        return MultiHeadAttention(
            self.num_heads,
            width // self.num_heads,
            dropout=self.dropout,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            output_initializer=self.output_initializer,
            seed=self._next_seed(),
        )

    def _norm(self) -> LayerNormalization:
        return LayerNormalization(epsilon=self.layer_norm_epsilon)

    def _dropout(self) -> Dropout:
        return Dropout(self.dropout, seed=self._next_seed())

    def _next_seed(self) -> int | None:
        """Of each sub-layer's masks another one, if there is a seed."""
        self._dropouts += 1
        return None if self.seed is None else (self.seed + self._dropouts * 0x9E3779B97F4A7C15) % 2**63

    def _around(self, x: Any, sublayer: Callable[[Any], Any], norm: LayerNormalization, dropout: Dropout) -> Any:
        if self.normalize_first:
            return x + dropout(sublayer(norm(x)))
        return norm(x + dropout(sublayer(x)))

    def _feedforward(self, x: Any) -> Any:
        hidden = self.intermediate(x)
        return self.output_dense(hidden if self.gate is None else hidden * self.gate(x))

    def get_config(self) -> dict[str, Any]:
        return {
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": "swiglu" if self.gated else activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "normalize_first": self.normalize_first,
            **given(output_initializer=self.output_initializer, seed=self.seed),
            **super().get_config(),
        }


class TransformerEncoder(_Block):
    """Self-attention, then two dense layers at each place, each with a sum over the residual path.

    With `f` for one of the two, `y = x + f(norm(x))` if `normalize_first`, else `y = norm(x + f(x))`. Called as
    `layer(x, attention_mask)` a query sees a key where the mask, `(batch, time, time)`, is true.

    Args:
        intermediate_dim: units of the first dense layer.
        num_heads: of `MultiHeadAttention`, each of `features / num_heads`.
        dropout: the part that is dropped of the weights of attention and of what is added to the residual path.
        activation: of the first dense layer: a name, a function, or "swiglu", `silu(x W + b) (x V + c)` with two kernels.
        layer_norm_epsilon: of the normalisations.
        kernel_initializer: of all kernels.
        bias_initializer: of all biases.
        normalize_first: before each sub-layer (pre-norm) instead of after the sum (post-norm).
        output_initializer: of the kernels whose result is added to the residual path; default `kernel_initializer`.
        seed: as for `Dropout`.

    Input and output shape `(batch, time, features)`. The words are KerasHub's.

    Raises:
        ValueError: an option outside its range; when built, heads that do not divide the features.

    Source:
        Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762; pre-norm: Xiong et al., "On layer
        normalization in the transformer architecture", ICML 2020, arXiv:2002.04745; swiglu: Shazeer, "GLU variants improve
        Transformer", 2020, arXiv:2002.05202.

    Example:
        >>> encoder = layers.TransformerEncoder(intermediate_dim=32, num_heads=2)
        >>> encoder(np.ones((3, 5, 8))).shape, encoder.count_params()
        ((3, 5, 8), 872)
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: activations.ActivationLike = "relu",
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        normalize_first: bool = False,
        *,
        output_initializer: initializers.InitializerLike | None = None,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            intermediate_dim,
            num_heads,
            dropout,
            activation,
            layer_norm_epsilon,
            kernel_initializer,
            bias_initializer,
            normalize_first,
            output_initializer,
            seed,
            name,
            input_shape,
        )

    def call(self, x: Any, attention_mask: Any = None) -> Any:
        def attention(x: Any) -> Any:
            return self.attention(x, attention_mask=attention_mask)

        x = self._around(x, attention, self.attention_norm, self.attention_dropout)
        return self._around(x, self._feedforward, self.feedforward_norm, self.feedforward_dropout)


class TransformerDecoder(_Block):
    """As `TransformerEncoder`, but a place sees itself and those before it; and in between, on request, what an encoder made.

    Called as `layer(x, encoder_sequence, attention_mask)`: with `cross_attention` the queries of x read the encoder's output,
    `(batch, places, features)`; the mask, `(batch, time, time)`, hides further keys of x.

    Args:
        intermediate_dim: as for `TransformerEncoder`.
        num_heads: likewise.
        dropout: likewise.
        activation: likewise.
        layer_norm_epsilon: likewise.
        kernel_initializer: likewise.
        bias_initializer: likewise.
        normalize_first: likewise.
        cross_attention: whether there is attention to an encoder's output.
        output_initializer: likewise.
        seed: likewise.

    Input and output shape `(batch, time, features)`.

    Raises:
        ValueError: an option outside its range; when built, heads that do not divide the features; when called, an encoder's
            output without `cross_attention`, or none with it.

    Source:
        As `TransformerEncoder`.

    Example:
        >>> decoder = layers.TransformerDecoder(intermediate_dim=32, num_heads=2, normalize_first=True)
        >>> decoder(np.ones((3, 5, 8))).shape, decoder.count_params()
        ((3, 5, 8), 872)
    """

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: activations.ActivationLike = "relu",
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        normalize_first: bool = False,
        cross_attention: bool = False,
        *,
        output_initializer: initializers.InitializerLike | None = None,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            intermediate_dim,
            num_heads,
            dropout,
            activation,
            layer_norm_epsilon,
            kernel_initializer,
            bias_initializer,
            normalize_first,
            output_initializer,
            seed,
            name,
            input_shape,
        )
        self.cross_attention = cross_attention

    def _make(self, width: int) -> None:
        super()._make(width)
        if self.cross_attention:
            self.cross, self.cross_norm, self.cross_dropout = self._attention(width), self._norm(), self._dropout()

    def call(self, x: Any, encoder_sequence: Any = None, attention_mask: Any = None) -> Any:
        if (encoder_sequence is not None) != self.cross_attention:
            came = "no encoder_sequence" if encoder_sequence is None else "an encoder_sequence"
            raise ValueError(
                f"{self.name}: {came} with cross_attention={self.cross_attention}; expected one if and only if it is True; "
                "make the layer with the other"
            )

        def attention(x: Any) -> Any:
            return self.attention(x, attention_mask=attention_mask, use_causal_mask=True)

        def cross(x: Any) -> Any:
            return self.cross(x, encoder_sequence)

        x = self._around(x, attention, self.attention_norm, self.attention_dropout)
        if self.cross_attention:
            x = self._around(x, cross, self.cross_norm, self.cross_dropout)
        return self._around(x, self._feedforward, self.feedforward_norm, self.feedforward_dropout)

    def get_config(self) -> dict[str, Any]:
        return {"cross_attention": self.cross_attention, **super().get_config()}
