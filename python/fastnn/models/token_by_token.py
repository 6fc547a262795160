"""Whether a model's tokens meet in causal self-attention alone, so that text can be read in pieces.

The graph of a model is followed from the tokens on. What is known of each value is where one token's numbers end and the next
one's begin: `step` numbers further in memory, whatever axes lie around. An op may do with the other axes what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

from fastnn import _core
from fastnn.layers.cache import KeyValueCache
from fastnn.ops import elementwise
from fastnn.tracing import Trace, layer_scope

_Inputs: TypeAlias = list[Any]  # numbers of values, None where an op has no such input
_Rule: TypeAlias = "Callable[[_Path, _Inputs, list[int], dict[str, Any]], None]"


def check_token_by_token(where: str, model: Any) -> None:
    """Raises unless the model gives the same with a cache as without one, as far as its graph shows.

    Args:
        where: for errors.
        model: a LanguageModel that is built.

    Raises:
        ValueError: tokens meet elsewhere than in causal self-attention, or what is added to them depends on their place and
            not on the cache's positions.
    """
    if model.context == 1:
        return  # there is nothing to meet
    cache = _Places(2, model.context)
    shape = (cache.batch, cache.context)
    with Trace() as trace, layer_scope(model.name):
        tokens, cache.each = trace.input("tokens", "int64", shape), trace.input("places", "int64", shape)
        with cache.reading(trace.input("positions", "int64", (cache.batch,))):
            positions = cache.positions
            features = model.features(tokens)
        logits = model.logits(features)
        path = _Path(trace.graph, cache.context, [tokens._value, cache.each._value], [positions._value])
        for op, inputs, outputs, attributes, layer, line in trace.graph.nodes():
            try:
                path.follow(op, inputs, outputs, attributes)
            except _Meeting as meeting:
                raise ValueError(
                    f"{where}: {layer or line or model.name}: '{op}' {meeting}; expected tokens that meet in causal "
                    "self-attention alone, whose layers keep what was read before, and positions of PositionEmbedding or "
                    "SinusoidalPositions; use those, or call predict on the whole text for each token"
                ) from None
        for variable in trace.variables():
            if trace.read(variable)._value in path.steps:
                raise ValueError(
                    f"{where}: '{variable.name}' keeps what was made of tokens; expected a model that keeps nothing but keys "
                    "and values, because tokens are read in pieces; call predict on the whole text for each token"
                )
        for part, x in (("features", features), ("logits", logits)):
            value, axes = x._value, len(x.shape)
            if axes != 3 or path.steps.get(value) != x.shape[-1]:
                raise ValueError(
                    f"{where}: {part} of shape {tuple(x.shape)} for tokens of shape {shape}; expected (batch, time, {part}), "
                    "of each token its own; keep the tokens' axes"
                )


class _Places(KeyValueCache):
    """A cache whose places are an input of the trace, for the path to begin there."""

    each: Any

    def places(self, time: int) -> Any:
        return self.each


class _Meeting(Exception):
    """Tokens meet, or meet what is not the same for all of them."""


class _Path:
    """The values of a graph that have something of each token.

    Args:
        graph: as recorded.
        time: how many tokens a text has, at least 2.
        tokens: inputs `(batch, time)`.
        cached: values that only attention and the cache may read.
    """

    def __init__(self, graph: _core.Graph, time: int, tokens: Sequence[int], cached: Sequence[int]) -> None:
        self.steps: dict[int, int] = dict.fromkeys(tokens, 1)  # from a token to the next
        self.cached = set(cached)
        self._graph, self._time = graph, time
        self._extents: dict[int, tuple[int, ...]] = {}  # of what was stretched: 1 along axes where all is the same

    def follow(self, op: str, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
        """Adds an op's results."""
        if any(i in self.cached for i in inputs) and op not in ("cache_append", "attention"):
            raise _Meeting("reads what only attention may")
        if any(i in self.steps for i in inputs):
            if op not in _RULES:
                raise _Meeting("lets tokens meet, or nothing is known about it")
            _RULES[op](self, inputs, outputs, attributes)
        elif op in _EACH:
            self._extents[outputs[0]] = self._stretched(inputs)

    def shape(self, value: int) -> tuple[int, ...]:
        return tuple(self._graph.shape(value))

    def axis(self, value: int) -> int:
        """The axis that has the tokens, and perhaps axes beside them that were merged with it."""
        shape, step = self.shape(value), self.steps[value]
        for k, extent in enumerate(shape):
            inner = prod(shape[k + 1 :])
            if step % inner == 0 and (inner * extent) % (step * self._time) == 0:
                return k
        raise _Meeting("takes the tokens' axis apart")

    def put(self, output: int, axis: int, source: int, of: int) -> None:
        """Says that an output's axis has the tokens as the axis `of` of a source has."""
        shape, before = self.shape(output), self.shape(source)
        step = self.steps[source] // prod(before[of + 1 :]) * prod(shape[axis + 1 :])
        if shape[axis] != before[of] or self.steps.setdefault(output, step) != step:
            raise _Meeting("lets tokens meet")

    def alone(self, inputs: _Inputs) -> None:
        """Raises if there is anything of tokens among them."""
        if any(i in self.steps or i in self.cached for i in inputs if i is not None):
            raise _Meeting("lets tokens meet")

    def same_for_all(self, inputs: _Inputs, behind: int) -> None:
        """Raises if one that has nothing of tokens differs along the tokens' axis, which is the `behind`th from the last."""
        for value in inputs:
            extents = self.extents(value)
            if value not in self.steps and len(extents) >= behind and extents[-behind] != 1:
                raise _Meeting("takes from the outside what differs from token to token")

    def extents(self, value: int) -> tuple[int, ...]:
        """The shape of a value that has nothing of tokens, before it was stretched."""
        return self._extents.get(value, self.shape(value))

    def _stretched(self, inputs: _Inputs) -> tuple[int, ...]:
        shapes = [self.extents(i) for i in inputs]
        rank = max(map(len, shapes))
        return tuple(max(column) for column in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes)))


# ---- What ops do to the tokens' axis -----------------------------------------------------------------------------------------


def _each(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    """Number by number, shapes stretched to each other's."""
    (output,) = outputs
    rank = len(path.shape(output))
    for i in inputs:
        if i in path.steps:
            k = path.axis(i)
            path.put(output, k + rank - len(path.shape(i)), i, k)
    path.same_for_all(inputs, rank - path.axis(output))


def _last(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    """Along the last axis of the first input."""
    x, *others = inputs
    path.alone(others)
    k = path.axis(x)
    if k == len(path.shape(x)) - 1:
        raise _Meeting("goes along the tokens' axis")
    for output in outputs:
        path.put(output, k, x, k)


def _matmul(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    a, b = inputs
    path.alone([b])
    rank, k = len(path.shape(a)), path.axis(a)
    rows, summed = (rank - 1, rank - 2) if attributes["transpose_a"] else (rank - 2, rank - 1)
    if k == summed or (k < rank - 2 and len(path.shape(b)) > 2):
        raise _Meeting("lets tokens meet")
    after = len(path.shape(outputs[0])) - rank
    path.put(outputs[0], rank - 2 + after if k == rows else k + after, a, k)


def _take(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    x, indices = inputs
    axis = attributes["axis"] % len(path.shape(x))
    if x not in path.steps:
        k = path.axis(indices)
        path.put(outputs[0], axis + k, indices, k)
        return
    path.alone([indices])
    k = path.axis(x)
    if k == axis:
        raise _Meeting("goes along the tokens' axis")
    path.put(outputs[0], k if k < axis else k + len(path.shape(indices)) - 1, x, k)


def _one_hot(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    k = path.axis(inputs[0])
    path.put(outputs[0], k + (attributes["axis"] % len(path.shape(outputs[0])) <= k), inputs[0], k)


def _reduce(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    (x,) = inputs
    rank, k = len(path.shape(x)), path.axis(x)
    axes = range(rank) if attributes["axes"] is None else [axis % rank for axis in attributes["axes"]]
    if k in axes:
        raise _Meeting("goes along the tokens' axis")
    path.put(outputs[0], k if attributes["keepdims"] else k - sum(axis < k for axis in axes), x, k)


def _reshape(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    path.steps[outputs[0]] = path.steps[inputs[0]]
    path.axis(outputs[0])


def _transpose(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    (x,) = inputs
    rank, k = len(path.shape(x)), path.axis(x)
    axes = attributes["axes"] or range(rank)[::-1]
    path.put(outputs[0], [axis % rank for axis in axes].index(k), x, k)


def _slice(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    (x,) = inputs
    k, drop, strides = path.axis(x), attributes["drop"], attributes["strides"]
    if k in drop or strides[k : k + 1] not in ((), (1,)):
        raise _Meeting("goes along the tokens' axis")
    path.put(outputs[0], k - sum(axis < k for axis in drop), x, k)  # which wants all of the axis


def _along_another(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    """Along one axis, `axis`, or a pad: the tokens' axis is left as it is."""
    for x in inputs:
        if x not in path.steps:
            continue
        k = path.axis(x)
        if "axis" in attributes and k == attributes["axis"] % len(path.shape(x)):
            raise _Meeting("goes along the tokens' axis")
        for output in outputs:
            path.put(output, k, x, k)
        path.same_for_all(inputs, len(path.shape(x)) - k)


def _cache_append(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    if path.axis(inputs[1]) != 1 or inputs[2] not in path.cached:
        raise _Meeting("writes tokens into other rows than the cache's")
    path.cached.update(outputs)


def _attention(path: _Path, inputs: _Inputs, outputs: list[int], attributes: dict[str, Any]) -> None:
    query, key, value, mask, bias, lengths, positions, state = [*inputs, *[None] * 8][:8]
    own = attributes["causal"] and key in path.cached and value in path.cached and positions in path.cached
    if not own:
        path.alone([key, value])
    if (not own and attributes["causal"]) or any(i is not None for i in (mask, bias, lengths, state)):
        raise _Meeting("is no causal self-attention over what the cache has")
    if path.axis(query) != 1:
        raise _Meeting("goes along another axis than the tokens'")
    path.put(outputs[0], 1, query, 1)


_KNOWN = (op["name"] for op in _core.ops())
_EACH = {op for op in _KNOWN if getattr(vars(elementwise).get(op), "__module__", "") == elementwise.__name__}
_EACH |= {"broadcast_to", "check_finite"}
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_EACH, _each),
    **dict.fromkeys(("batch_norm_inference", "dense", "layer_norm", "log_softmax", "rms_norm", "softmax", "top_k"), _last),
    **dict.fromkeys(("all", "any", "max", "mean", "min", "prod", "sum"), _reduce),
    **dict.fromkeys(("concatenate", "cumsum", "pad", "split"), _along_another),
    "attention": _attention,
    "cache_append": _cache_append,
    "matmul": _matmul,
    "one_hot": _one_hot,
    "reshape": _reshape,
    "slice": _slice,
    "take": _take,
    "transpose": _transpose,
}
