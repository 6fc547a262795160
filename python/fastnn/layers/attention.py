"""MultiHeadAttention, GroupQueryAttention."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from fastnn import constraints, initializers, ops, regularizers
from fastnn.layers.cache import current_cache
from fastnn.layers.layer import Layer, check_size, given, shape_text
from fastnn.layers.noise import advance, random_state
from fastnn.utils import check_number, check_seed


class _Attention(Layer):
    """What they share: projections to heads, attention, and the projection of all heads together."""

    def __init__(
        self,
        heads: int,
        key_heads: int,
        size: int,
        value_size: int,
        units: int | None,
        dropout: float,
        use_bias: bool,
        kernel_initializer: initializers.InitializerLike,
        bias_initializer: initializers.InitializerLike,
        output_initializer: initializers.InitializerLike | None,
        kernel_regularizer: regularizers.RegularizerLike,
        bias_regularizer: regularizers.RegularizerLike,
        activity_regularizer: regularizers.RegularizerLike,
        kernel_constraint: constraints.ConstraintLike,
        bias_constraint: constraints.ConstraintLike,
        seed: int | None,
        name: str | None,
        input_shape: Sequence[int] | None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape, activity_regularizer=activity_regularizer)
        self._heads, self._key_heads, self._size, self._value_size, self._units = heads, key_heads, size, value_size, units
        self.dropout = check_number(self.name, "dropout", dropout, 0.1, "0 <= dropout < 1", lambda rate: 0.0 <= rate < 1.0)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.output_initializer = None if output_initializer is None else initializers.get(output_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.seed = None if seed is None else check_seed(self.name, seed)
        self.random_state = random_state(self.name, self.seed)

    def _make_weights(self, query: Any, key: Any, value: Any) -> None:
        """At the first call, because `build` knows the first input alone."""
        for what, x in (("query", query), ("key", key), ("value", value)):
            if len(x.shape) != 3 or not isinstance(x.shape[-1], int):
                raise ValueError(
                    f"{self.name}: {what} of shape {shape_text(x)}; expected (batch, time, features) with a known number of "
                    "features; reshape it"
                )
        units = query.shape[-1] if self._units is None else self._units
        for part, kernel, bias in (
            ("query", (query.shape[-1], self._heads, self._size), (self._heads, self._size)),
            ("key", (key.shape[-1], self._key_heads, self._size), (self._key_heads, self._size)),
            ("value", (value.shape[-1], self._key_heads, self._value_size), (self._key_heads, self._value_size)),
            ("attention_output", (self._heads, self._value_size, units), (units,)),
        ):
            self.add_weight(
                f"{part}/kernel",
                kernel,
                (self.output_initializer if part == "attention_output" else None) or self.kernel_initializer,
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
            )
            if self.use_bias:
                self.add_weight(
                    f"{part}/bias",
                    bias,
                    self.bias_initializer,
                    regularizer=self.bias_regularizer,
                    constraint=self.bias_constraint,
                )

    def _dense(self, part: str, x: Any, summed: int) -> Any:
        """`x` times a part's kernel, over the kernel's first `summed` axes, plus its bias."""
        kernel, bias = self._weights[f"{part}/kernel"], self._weights.get(f"{part}/bias")
        rows, columns = prod(kernel.shape[:summed]), prod(kernel.shape[summed:])
        flat = None if bias is None else ops.reshape(bias, (columns,))
        folded = x if x.ndim == 3 else ops.reshape(x, (*x.shape[:2], rows))
        y = ops.dense(folded, ops.reshape(kernel, (rows, columns)), flat)
        return y if kernel.ndim == summed + 1 else ops.reshape(y, (*x.shape[:2], *kernel.shape[summed:]))

    def project(self, query: Any, value: Any = None, key: Any = None) -> tuple[Any, Any, Any]:
        """Queries, keys and values by heads, as `ops.attention` takes them.

        Between `project` and `combine` a model may do what it likes: turn queries and keys by `ops.rotary`, or write keys and
        values into a cache and read that.

        Args:
            query: `(batch, queries, features)`.
            value: `(batch, keys, features)`; default the query.
            key: likewise; default the value.

        Returns:
            Three tensors `(batch, time, heads, size)`.
        """
        value = query if value is None else self._converted(value)
        key = value if key is None else self._converted(key)
        if not self._weights:
            self._make_weights(query, key, value)
        return self._dense("query", query, 1), self._dense("key", key, 1), self._dense("value", value, 1)

    def combine(self, y: Any) -> Any:
        """The layer's output, made of what `ops.attention` gave.

        Args:
            y: `(batch, queries, heads, size)`.

        Returns:
            `(batch, queries, units)`.
        """
        return self._dense("attention_output", y, 2)

    def call(  # type: ignore[override]
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        training: bool = False,
    ) -> Any:
        if return_attention_scores:
            raise ValueError(
                f"{self.name}: return_attention_scores=True; expected False, because the weights are never in memory as a "
                "whole; make them of project() and ops.softmax"
            )
        queries, keys, values = self.project(query, value, key)
        if use_causal_mask and queries.shape[1] != keys.shape[1]:
            raise ValueError(
                f"{self.name}: use_causal_mask=True for {queries.shape[1]} queries and {keys.shape[1]} keys; expected as many "
                "keys as queries; pass an attention_mask"
            )
        mask = None if attention_mask is None else self._mask(attention_mask)
        options: dict[str, Any] = {}
        if training and self.dropout > 0.0:
            options = {"random_state": self.random_state, "rate": self.dropout}
        if (cache := current_cache()) is not None and (value is None or value is query):
            if not use_causal_mask or mask is not None or (key is not None and key is not query):
                raise ValueError(
                    f"{self.name}: self-attention that is not only causal while text is read in pieces; expected "
                    "use_causal_mask=True and no attention_mask or key, because what comes later is not there yet; predict the "
                    "whole text at once"
                )
            keys, values = cache.append(self, keys, values)
            options["positions"] = cache.positions
        y = ops.attention(queries, keys, values, mask, causal=use_causal_mask, **options)
        if "rate" in options:
            advance(self.random_state)
        return self.combine(y)

    def _mask(self, mask: Any) -> Any:
        rank = len(mask.shape)
        if rank not in (2, 3, 4):
            raise ValueError(
                f"{self.name}: attention_mask of shape {shape_text(mask)}; expected (batch, queries, keys), (batch, heads, "
                "queries, keys) or (queries, keys); reshape it"
            )
        mask = ops.expand_dims(mask, 1) if rank == 3 else mask
        return mask if str(mask.dtype) == "bool" else ops.not_equal(mask, 0)

    def get_config(self) -> dict[str, Any]:
        return {
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "seed": self.seed,
            **given(
                output_initializer=self.output_initializer,
                kernel_regularizer=self.kernel_regularizer,
                bias_regularizer=self.bias_regularizer,
                kernel_constraint=self.kernel_constraint,
                bias_constraint=self.bias_constraint,
            ),
            **super().get_config(),
        }


class MultiHeadAttention(_Attention):
    """Each query's mean of the values, weighted by how well their keys fit it, in several heads; see `fastnn.ops.attention`.

    `head_i = attention(query Wq_i, key Wk_i, value Wv_i)`, `y = sum over i of head_i Wo_i`, each with a bias.

    Called as `layer(query, value, key)`; keys default to the values, and these to the queries (self-attention). Further
    arguments of the call: `attention_mask`, `(batch, queries, keys)` or with heads before the queries, true (or not 0) where a
    query sees a key; `use_causal_mask`, whether a query sees keys up to its own place only.

    Args:
        num_heads: number of heads.
        key_dim: size of each head's queries and keys.
        value_dim: likewise of values; default `key_dim`.
        dropout: the part of the weights that is dropped while training.
        use_bias: whether the projections add a bias.
        output_shape: length of the result's last axis; default the queries' features.
        attention_axes: None; attention is along the second axis.
        kernel_initializer: of all kernels.
        bias_initializer: of all biases.
        output_initializer: of the output's kernel; default `kernel_initializer`.
        kernel_regularizer: what each kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise each bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        kernel_constraint: what is done to the kernels after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the biases.
        seed: as for `Dropout`.

    Input shapes `(batch, time, features)`, output shape `(batch, queries, units)`. The weights are Keras's, in its order:
    kernels of query, key and value `(features, num_heads, size)`, that of the output `(num_heads, size, units)`, and behind
    each its bias. Memory grows with the number of queries and of keys, not with their product.

    Raises:
        ValueError: an option outside its range; when called, inputs without three axes, a causal mask for more or fewer keys
            than queries, attention scores asked for.

    Source:
        Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762.

    Example:
        >>> attention = layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> attention(np.ones((3, 5, 8)), use_causal_mask=True).shape, attention.count_params()
        ((3, 5, 8), 288)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: None = None,
        *,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        output_initializer: initializers.InitializerLike | None = None,
        kernel_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        kernel_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        where = name or self.default_name()
        if attention_axes is not None:
            raise ValueError(
                f"{where}: attention_axes={attention_axes!r}; expected None, the second of three axes; move axes with Permute"
            )
        if isinstance(output_shape, (tuple, list)) and len(output_shape) == 1:
            output_shape = output_shape[0]
        self.num_heads = check_size(where, "num_heads", num_heads)
        self.key_dim = check_size(where, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else check_size(where, "value_dim", value_dim)
        super().__init__(
            self.num_heads,
            self.num_heads,
            self.key_dim,
            self.value_dim,
            None if output_shape is None else check_size(where, "output_shape", output_shape),
            dropout,
            use_bias,
            kernel_initializer,
            bias_initializer,
            output_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            seed,
            name,
            input_shape,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            **given(output_shape=self._units),
            **super().get_config(),
        }


class GroupQueryAttention(_Attention):
    """`MultiHeadAttention` with fewer heads of keys and values than of queries, each read by several in a row.

    It is called likewise. With as many heads of either it is multi-head attention, with one head of keys multi-query attention.

    Args:
        head_dim: size of a head.
        num_query_heads: number of heads of the queries.
        num_key_value_heads: of keys and values; divides that of the queries.
        dropout: the part of the weights that is dropped while training.
        use_bias: whether the projections add a bias.
        kernel_initializer: of all kernels.
        bias_initializer: of all biases.
        output_initializer: of the output's kernel; default `kernel_initializer`.
        kernel_regularizer: what each kernel adds to the loss: a name or object of `fastnn.regularizers`, or None.
        bias_regularizer: likewise each bias.
        activity_regularizer: likewise the output, divided by the length of the batch.
        kernel_constraint: what is done to the kernels after an update: a name or object of `fastnn.constraints`, or None.
        bias_constraint: likewise to the biases.
        seed: as for `Dropout`.

    Input shapes `(batch, time, features)`, output shape that of the queries. Weights as those of `MultiHeadAttention`.

    Raises:
        ValueError: an option outside its range, heads that do not divide; when called, as for `MultiHeadAttention`.

    Source:
        Ainslie et al., "GQA: training generalized multi-query transformer models from multi-head checkpoints", EMNLP 2023,
        arXiv:2305.13245.

    Example:
        >>> attention = layers.GroupQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)
        >>> attention(np.ones((3, 5, 8))).shape, attention.count_params()
        ((3, 5, 8), 424)
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        *,
        kernel_initializer: initializers.InitializerLike = "glorot_uniform",
        bias_initializer: initializers.InitializerLike = "zeros",
        output_initializer: initializers.InitializerLike | None = None,
        kernel_regularizer: regularizers.RegularizerLike = None,
        bias_regularizer: regularizers.RegularizerLike = None,
        activity_regularizer: regularizers.RegularizerLike = None,
        kernel_constraint: constraints.ConstraintLike = None,
        bias_constraint: constraints.ConstraintLike = None,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        where = name or self.default_name()
        self.head_dim = check_size(where, "head_dim", head_dim)
        self.num_query_heads = check_size(where, "num_query_heads", num_query_heads)
        self.num_key_value_heads = check_size(where, "num_key_value_heads", num_key_value_heads)
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(
                f"{where}: {num_query_heads} heads of queries and {num_key_value_heads} of keys; expected a number that "
                "divides that of the queries; choose other ones"
            )
        super().__init__(
            self.num_query_heads,
            self.num_key_value_heads,
            self.head_dim,
            self.head_dim,
            None,
            dropout,
            use_bias,
            kernel_initializer,
            bias_initializer,
            output_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            seed,
            name,
            input_shape,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            **super().get_config(),
        }
