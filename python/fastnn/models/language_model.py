"""LanguageModel: what predicts the next token, and the text that comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn.layers.cache import KeyValueCache
from fastnn.layers.layer import check_size
from fastnn.models.model import Model
from fastnn.models.token_by_token import check_token_by_token
from fastnn.tracing import Array, Trace, building, layer_scope, rectangular
from fastnn.utils import check_number, check_seed, generator

_MAX_IDLE = 4  # readers that a model keeps for the next call; each has a cache


class LanguageModel(Model):
    """A model from tokens to the logits of the next token, whose parts are `features` and `logits`.

    A subclass makes layers in `__init__` and implements the two. `generate` and `stream` then read a prompt at once and after
    it one token at a time, with the keys and values of earlier tokens from a cache: so all that mixes the features of several
    tokens must be causal self-attention (`TransformerDecoder`, or `MultiHeadAttention` with `use_causal_mask=True`), and
    positions must come from `PositionEmbedding` or `SinusoidalPositions`. A model of anything else, such as a recurrent layer,
    a convolution or a mean over time, trains and predicts, but does not generate.

    Args:
        vocabulary: how many tokens there are.
        context: how many tokens it sees at most.
        name: default the class's name with a number.

    Input: integers `(batch, time)`; output: logits `(batch, time, vocabulary)`.

    Raises:
        ValueError: sizes that are no positive integers.

    Example:
        >>> class Tiny(fastnn.models.LanguageModel):
        ...     def __init__(self):
        ...         super().__init__(vocabulary=5, context=8)
        ...         self.tokens, self.positions = layers.Embedding(5, 16), layers.SinusoidalPositions()
        ...         self.block, self.head = layers.TransformerDecoder(32, num_heads=2), layers.Dense(5)
        ...     def features(self, tokens):
        ...         return self.block(self.positions(self.tokens(tokens)))
        ...     def logits(self, x):
        ...         return self.head(x)
        >>> len(Tiny().generate([1, 2, 3], 4, seed=0))
        4
    """

    input_dtype = None  # tokens stay integers

    def __init__(self, vocabulary: int, context: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.vocabulary = check_size(self.name, "vocabulary", vocabulary)
        self.context = check_size(self.name, "context", context)
        self._idle: list[_Reader] = []  # the one used last is the last
        self._token_by_token = False  # whether it has been found to be so

    def features(self, tokens: Any) -> Any:
        """What the model knows at each token; a subclass implements it.

        Args:
            tokens: integers `(batch, time)`.

        Returns:
            `(batch, time, features)`.
        """
        raise TypeError(f"{self.name}: has no features(tokens); expected one; override it")

    def logits(self, x: Any) -> Any:
        """The logits of the next token, of each token by itself; a subclass implements it.

        Args:
            x: features, `(batch, time, features)`.

        Returns:
            `(batch, time, vocabulary)`.
        """
        raise TypeError(f"{self.name}: has no logits(x); expected one; override it")

    def call(self, tokens: Any) -> Any:  # type: ignore[override]
        return self.logits(self.features(tokens))

    def generate(
        self,
        prompts: Any,
        max_new_tokens: int,
        *,
        greedy: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        stop_tokens: int | Iterable[int] = (),
        seed: int | None = None,
    ) -> Any:
        """Continues texts, token after token.

        A token is drawn with `p = softmax(logits / temperature)`, what `top_k` and `top_p` leave of it, or with `greedy` is the
        most probable one. The same seed gives the same tokens for any number of threads, and a text the same ones whatever
        stands beside it. Where a text outgrows the context, the older half of what the model sees is forgotten, and the newer
        half read again from position 0.

        Args:
            prompts: integers, a text or a list of texts, which may be of unequal lengths; each of 1 to `context` tokens.
            max_new_tokens: how many to add to each text at most.
            greedy: take the most probable token, the first of equal ones, instead of drawing one.
            temperature: divides the logits; below 1 what is probable becomes more so.
            top_k: draw among so many most probable tokens, the first of equal ones.
            top_p: draw among the fewest most probable tokens whose probabilities (after `top_k`) add up to it (nucleus
                sampling).
            repetition_penalty: for tokens that the text has already, a logit above 0 is divided by it, one below multiplied.
            stop_tokens: a token or several; the first of them ends its text, as its last token.
            seed: of the drawing; default one of the library's generator, which `fastnn.set_seed` begins.

        Returns:
            The new tokens, int64: an array, or of several texts a list of arrays.

        Raises:
            ValueError: a prompt that is empty, longer than the context, or has a token that is none of the vocabulary; an
                option outside its range; options of drawing together with `greedy`; a model whose tokens meet elsewhere than
                in causal self-attention; when run, logits that are not finite.
            TypeError: prompts that are no integers.

        Source:
            Cached keys and values: Pope et al., "Efficiently scaling Transformer inference", 2022, arXiv:2211.05102; top_k:
            Fan, Lewis, Dauphin, "Hierarchical neural story generation", 2018, arXiv:1805.04833; top_p: Holtzman et al., "The
            curious case of neural text degeneration", 2020, arXiv:1904.09751; repetition_penalty: Keskar et al., "CTRL", 2019,
            arXiv:1909.05858.

        Example:
            >>> fastnn.set_seed(0)
            >>> model = fastnn.models.GPT(fastnn.models.GPTConfig(vocabulary=5, context=8, layers=2, heads=2, width=16))
            >>> model.compile(fastnn.optimizers.AdamW(0.01), fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
            >>> text = np.arange(64 * 9).reshape(64, 9) % 5
            >>> history = model.fit(text[:, :-1], text[:, 1:], epochs=60, verbose=0)
            >>> model.generate([1, 2], 6, greedy=True)
            array([3, 4, 0, 1, 2, 3])
            >>> [tokens.tolist() for tokens in model.generate([[1, 2], [4]], 6, greedy=True, stop_tokens=0)]
            [[3, 4, 0], [0]]
        """
        rows, single = self._start(
            "generate",
            prompts,
            max_new_tokens,
            (greedy, temperature, top_k, top_p, repetition_penalty, stop_tokens, seed),
        )
        made = [column[column >= 0] for column in np.stack(list(rows), axis=1)]
        return made[0] if single else made

    def stream(
        self,
        prompts: Any,
        max_new_tokens: int,
        *,
        greedy: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        stop_tokens: int | Iterable[int] = (),
        seed: int | None = None,
    ) -> Iterator[Any]:
        """The tokens of `generate` as they come.

        Args:
            prompts: as for `generate`, as are max_new_tokens, greedy, temperature, top_k, top_p, repetition_penalty,
                stop_tokens and seed.

        Returns:
            An iterator of ints; of several texts, of int64 arrays `(batch,)` with -1 where a text has ended.

        Raises:
            ValueError: as `generate`, at once.
            TypeError: likewise.

        Example:
            >>> fastnn.set_seed(0)
            >>> model = fastnn.models.GPT(fastnn.models.GPTConfig(vocabulary=5, context=8, layers=2, heads=2, width=16))
            >>> tokens = list(model.stream([1, 2], 3, seed=0))
            >>> tokens == model.generate([1, 2], 3, seed=0).tolist()
            True
        """
        rows, single = self._start(
            "stream",
            prompts,
            max_new_tokens,
            (greedy, temperature, top_k, top_p, repetition_penalty, stop_tokens, seed),
        )
        return (int(row[0]) for row in rows) if single else rows

    # ---- What was asked for --------------------------------------------------------------------------------------------------

    def _start(self, method: str, prompts: Any, max_new_tokens: Any, options: tuple[Any, ...]) -> tuple[Iterator[Array], bool]:
        """The tokens to come, one row for each step, and whether there is but one text that stands by itself."""
        where = f"{self.name}: {method}"
        texts, single = self._prompts(where, prompts)
        sampling = self._sampling(where, *options)
        count = check_size(where, "max_new_tokens", max_new_tokens)
        if not self._token_by_token:
            with building:
                if not self.built:
                    self.build((None, self.context))
                check_token_by_token(where, self)
                self._token_by_token = True
        return self._continue(texts, count, sampling), single

    def _prompts(self, where: str, prompts: Any) -> tuple[list[list[int]], bool]:
        """The texts as lists, and whether there is but one that stands by itself."""
        if isinstance(prompts, str) or not isinstance(prompts, (list, tuple, np.ndarray)):
            raise TypeError(
                f"{where}: prompts={prompts!r}; expected tokens, or a list of texts of tokens; encode text with its tokenizer"
            )
        single = not any(isinstance(text, (list, tuple, np.ndarray)) and np.ndim(text) > 0 for text in prompts)
        if single and len(prompts) == 0:
            raise ValueError(
                f"{where}: an empty prompt; expected at least one token; pass for example the one that begins texts"
            )
        texts = []
        for i, prompt in enumerate([prompts] if single else prompts):
            what = "the prompt" if single else f"prompt {i}"
            text = rectangular(f"{where}: {what}", prompt)
            if text.ndim != 1:
                raise ValueError(f"{where}: {what} has shape {text.shape}; expected one axis; pass one list for each text")
            if not 1 <= len(text) <= self.context:
                raise ValueError(
                    f"{where}: {what} has {len(text)} tokens; expected 1 to {self.context}, what the model sees; "
                    f"{'pass at least one' if len(text) == 0 else f'pass its last {self.context}'}"
                )
            if text.dtype.kind not in "iu":
                raise TypeError(f"{where}: {what} is {text.dtype}; expected integers; convert it with .astype('int64')")
            bad = np.flatnonzero((text < 0) | (text >= self.vocabulary))
            if len(bad):
                raise ValueError(
                    f"{where}: {what} has token {text[bad[0]]} at place {bad[0]}; expected 0 <= token < {self.vocabulary}, the "
                    "vocabulary; encode the text with the model's own tokenizer"
                )
            texts.append([int(token) for token in text])
        return texts, single

    def _sampling(
        self,
        where: str,
        greedy: Any,
        temperature: Any,
        top_k: Any,
        top_p: Any,
        repetition_penalty: Any,
        stop_tokens: Any,
        seed: Any,
    ) -> _Sampling:
        if not isinstance(greedy, (bool, np.bool_)):
            raise TypeError(f"{where}: greedy={greedy!r}; expected True or False; pass one of them")
        if isinstance(temperature, (int, float)) and temperature == 0:
            raise ValueError(f"{where}: temperature={temperature!r}; expected a number > 0; pass greedy=True")
        positive = "a finite number > 0"
        temperature = check_number(where, "temperature", temperature, 0.8, positive, lambda t: t > 0.0)
        penalty = check_number(where, "repetition_penalty", repetition_penalty, 1.2, positive, lambda t: t > 0.0)
        if top_p is not None:
            top_p = check_number(where, "top_p", top_p, 0.9, "0 < top_p <= 1", lambda p: 0.0 < p <= 1.0)
        if top_k is not None and check_size(where, "top_k", top_k) > self.vocabulary:
            raise ValueError(
                f"{where}: top_k={top_k} of {self.vocabulary} tokens; expected no more than there are; leave it out for all"
            )
        if not isinstance(stop_tokens, (int, np.integer, Iterable)):
            raise TypeError(f"{where}: stop_tokens={stop_tokens!r}; expected a token or several; pass for example (0, 1)")
        stops = [stop_tokens] if isinstance(stop_tokens, (int, np.integer)) else list(stop_tokens)
        for token in stops:
            integer = isinstance(token, (int, np.integer)) and not isinstance(token, bool)
            if not (integer and 0 <= token < self.vocabulary):
                raise ValueError(
                    f"{where}: stop token {token!r}; expected an integer, 0 <= token < {self.vocabulary}; leave out what the "
                    "model never says"
                )
        if greedy:
            drawing = {"temperature": temperature != 1.0, "top_k": top_k, "top_p": top_p, "seed": seed}
            given = [name for name, value in drawing.items() if value is not None and value is not False]
            if given:
                raise ValueError(
                    f"{where}: greedy=True with {', '.join(given)}; expected either, because nothing is drawn; leave one out"
                )
            key = (0, 0)
        else:
            key = generator.next_key() if seed is None else (check_seed(where, seed), 0)
        return _Sampling(bool(greedy), temperature, top_k, top_p, penalty, frozenset(map(int, stops)), key)

    # ---- The loop ------------------------------------------------------------------------------------------------------------

    def _forget_programs(self) -> None:
        super()._forget_programs()
        self._idle, self._token_by_token = [], False

    def _continue(self, texts: list[list[int]], count: int, options: _Sampling) -> Iterator[Array]:
        """The next tokens of all texts, -1 for those that have ended."""
        idle = self._idle
        found = next((reader for reader in reversed(idle) if reader.cache.batch == len(texts)), None)
        try:
            idle.remove(found)  # type: ignore[arg-type]
        except ValueError:  # none, or another thread was faster
            found = None
        reader = found or _Reader(self, len(texts))
        yield from _tokens(reader, texts, count, options)
        # A stream that is left or fails keeps its reader to itself.
        idle.append(reader)
        del idle[:-_MAX_IDLE]


def _tokens(reader: _Reader, texts: list[list[int]], count: int, options: _Sampling) -> Iterator[Array]:
    context, n = reader.cache.context, len(texts)
    seen = np.zeros((n, reader.model.vocabulary if options.repetition_penalty != 1.0 else 0), bool)
    for i, text in enumerate(texts):
        if seen.size:
            seen[i, text] = True
    alive = np.ones(n, bool)
    logits = reader.read(texts)
    positions = np.array([len(text) for text in texts])
    for step in range(count):
        tokens = options.choose(logits, seen, step)
        if not alive.all():
            tokens[~alive] = -1
        yield tokens.copy()
        if seen.size:
            seen[np.flatnonzero(alive), tokens[alive]] = True
        for i in range(n):
            texts[i].append(int(tokens[i]))
        if options.stop_tokens:
            alive &= [int(token) not in options.stop_tokens for token in tokens]
            if not alive.any():
                return
            # What has ended is read on as a text of one token.
            tokens[~alive], positions[~alive] = 0, 0
        if step == count - 1:
            return
        if positions.max() < context:
            logits = reader.step(tokens, positions)
            positions = positions + alive
            continue
        for i in range(n):
            if not alive[i]:
                texts[i] = [0]
            elif positions[i] == context:
                texts[i] = texts[i][-max(1, context // 2) :]
        logits = reader.read(texts)
        positions = np.array([len(text) for text in texts])


class _Reader:
    """The programs for so many texts at once, and the cache that they share."""

    def __init__(self, model: LanguageModel, batch: int) -> None:
        self.model, self.cache = model, KeyValueCache(batch, model.context)
        self._runs: dict[tuple[int, int], Any] = {}  # by how many tokens of each text they read, and the inputs beside these

    def read(self, texts: list[list[int]]) -> Array:
        """The logits behind each text, which becomes the cache's; float32 `(batch, vocabulary)`.

        Texts are padded to the next power of two, so that a few programs serve all lengths: what stands behind a text is
        nothing that it sees, and the next tokens overwrite it.
        """
        longest = max(map(len, texts))
        tokens = np.zeros((len(texts), min(1 << (longest - 1).bit_length(), self.cache.context)), np.int64)
        for i, text in enumerate(texts):
            tokens[i, : len(text)] = text
        last = np.array([i * tokens.shape[1] + len(text) - 1 for i, text in enumerate(texts)])
        return self._run(tokens, np.zeros(len(texts), np.int64), last)

    def step(self, tokens: Array, positions: Array) -> Array:
        """The logits behind one more token of each text, `(batch,)`, whose place is given."""
        return self._run(tokens[:, None], positions)

    def _run(self, tokens: Array, *others: Array) -> Array:
        kind = tokens.shape[1], len(others)
        run = self._runs.get(kind)
        if run is None:
            with building:
                run = self._runs[kind] = self._trace(kind[0], kind[1] == 2).run
        logits: Array = run([tokens, *others], True)[0]
        return logits

    def _trace(self, time: int, gathers: bool) -> _core.Function:
        model, batch = self.model, self.cache.batch
        with Trace() as trace, layer_scope(model.name):
            tokens, positions = trace.input("tokens", "int64", (batch, time)), trace.input("positions", "int64", (batch,))
            with self.cache.reading(positions):
                x = model.features(tokens)
            if gathers:  # the features of each text's last token
                last = trace.input("last", "int64", (batch,))
                x = ops.expand_dims(ops.take(ops.reshape(x, (batch * time, x.shape[2])), last, axis=0), 1)
            logits = ops.check_finite(ops.reshape(model.logits(x), (batch, model.vocabulary)))
            trace.graph.set_outputs([logits._value])
            trace.graph.fuse()
        return _core.Function(trace.graph)


@dataclass(frozen=True)
class _Sampling:
    """How the next token follows from logits."""

    greedy: bool
    temperature: float
    top_k: int | None
    top_p: float | None
    repetition_penalty: float
    stop_tokens: frozenset[int]
    key: tuple[int, int]  # seed, stream

    def choose(self, logits: Array, seen: Array, step: int) -> Array:
        """The next token of each row of logits, `(batch, vocabulary)`: int64."""
        if seen.size:
            x = logits.astype(np.float64)
            logits = np.where(seen, np.where(x > 0.0, x / self.repetition_penalty, x * self.repetition_penalty), x)
        if self.greedy:
            return np.asarray(logits.argmax(axis=1))
        draws = _core.random_uniform(*self.key, step, [len(logits)], "float64")
        return np.array([self._draw(row, u) for row, u in zip(logits, draws)])

    def _draw(self, logits: Array, u: float) -> int:
        x = logits / np.float64(self.temperature)
        p = np.exp(x - x.max())
        if self.top_k is not None or self.top_p is not None:
            order = np.argsort(-x, kind="stable")[: self.top_k]
            if self.top_p is not None:
                sums = np.cumsum(p[order])
                order = order[: np.searchsorted(sums, self.top_p * sums[-1]) + 1]
            kept = np.zeros_like(p)
            kept[order] = p[order]
            p = kept
        sums = np.cumsum(p)
        # The first place whose sum is above, so never one of probability 0; rounding may leave none above.
        return int(min(np.searchsorted(sums, u * sums[-1], side="right"), np.searchsorted(sums, sums[-1])))
