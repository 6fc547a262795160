"""GPT: a Transformer that predicts the next token."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fastnn import initializers, ops
from fastnn.layers import Dense, Dropout, Embedding, LayerNormalization, PositionEmbedding, TransformerDecoder
from fastnn.models.language_model import LanguageModel


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a `GPT`.

    Args:
        vocabulary: how many tokens there are.
        context: how many tokens it sees at most.
        layers: blocks in a row.
        heads: of attention in each block; divides the width.
        width: features of a token.
        dropout: the part that is dropped of embeddings, of the weights of attention, and of what each block adds.
        tied: whether the last layer is the embedding's table, transposed, instead of a kernel of its own.

    Example:
        >>> fastnn.models.GPTConfig(vocabulary=256, width=96).width
        96
    """

    vocabulary: int = 65
    context: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    dropout: float = 0.0
    tied: bool = True


class GPT(LanguageModel):
    """A decoder of the Transformer: token and position embeddings, blocks with pre-norm and gelu, a norm, logits.

    It is trained with `SparseCategoricalCrossentropy(from_logits=True)` on tokens and those that follow them.

    Args:
        config: its sizes.
        name: default the class's name with a number.

    Input: integers `(batch, time)`, at most `context` of them; output: logits `(batch, time, vocabulary)` of the next token.
    Weights begin normal with deviation 0.02, those that end a residual path with 0.02 / sqrt(2 layers); biases as zeros.

    Raises:
        ValueError: sizes that are no positive integers, heads that do not divide the width, a dropout outside 0 to 1; when
            run, a token that is none of the vocabulary.
        TypeError: no GPTConfig.

    Source:
        Radford, Wu, Child, Luan, Amodei, Sutskever, "Language models are unsupervised multitask learners", 2019.

    Example:
        >>> fastnn.set_seed(0)
        >>> model = fastnn.models.GPT(fastnn.models.GPTConfig(vocabulary=5, context=8, layers=2, heads=2, width=16))
        >>> model.compile(fastnn.optimizers.AdamW(0.01), fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> text = np.arange(64 * 9).reshape(64, 9) % 5
        >>> history = model.fit(text[:, :-1], text[:, 1:], epochs=60, verbose=0)
        >>> history.history["loss"][-1] < 0.2
        True
        >>> model.predict(text[:1, :8]).argmax(-1)[0].tolist() == text[0, 1:].tolist()
        True
    """

    def __init__(self, config: GPTConfig, name: str | None = None) -> None:
        if not isinstance(config, GPTConfig):
            raise TypeError(
                f"{name or self.default_name()}: config={config!r}; expected a GPTConfig; pass for example "
                "GPTConfig(vocabulary=65)"
            )
        super().__init__(config.vocabulary, config.context, name)
        self.config = config
        normal = initializers.RandomNormal(stddev=0.02)
        self.tokens = Embedding(config.vocabulary, config.width, normal)
        self.positions = PositionEmbedding(config.context, normal)
        self.dropout = Dropout(config.dropout)
        self.blocks = [
            TransformerDecoder(
                4 * config.width,
                config.heads,
                config.dropout,
                activation="gelu",
                kernel_initializer=normal,
                normalize_first=True,
                output_initializer=initializers.RandomNormal(stddev=0.02 / (2 * config.layers) ** 0.5),
            )
            for _ in range(config.layers)
        ]
        self.norm = LayerNormalization(epsilon=1e-5)
        self.head = None if config.tied else Dense(config.vocabulary, use_bias=False, kernel_initializer=normal)

    def features(self, tokens: Any) -> Any:
        """What the last block makes of each token, normalised.

        Args:
            tokens: integers `(batch, time)`.

        Returns:
            `(batch, time, width)`.
        """
        x = self.dropout(self.positions(self.tokens(tokens)))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def logits(self, x: Any) -> Any:
        """The logits of the next token.

        Args:
            x: features, `(batch, time, width)`.

        Returns:
            `(batch, time, vocabulary)`.
        """
        return ops.matmul(x, self.tokens.embeddings, transpose_b=True) if self.head is None else self.head(x)

    def get_config(self) -> dict[str, Any]:
        """The sizes, and the name."""
        return {"config": asdict(self.config), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GPT:
        """A model from what `get_config` returned, with new weights.

        Args:
            config: the constructor's arguments by name.
        """
        return cls(GPTConfig(**config["config"]), config["name"])
