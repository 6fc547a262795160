"""How `fastnn train` trains unless told otherwise: every number that was tuned, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Recipe:
    """The choices of one run on MNIST; the defaults are those of `mnist-cnn`.

    Args:
        model: which network.
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: Adam's, at its highest.
        warm_up: the fraction of the run in which the rate rises from 0 to its highest.
        seed: of weights and shuffling.
    """

    model: str = "mnist-cnn"
    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 3e-3
    warm_up: float = 0.1
    seed: int = 0

    SCHEDULE: ClassVar[str] = "rises over the first tenth of the run, then falls to 0 along half a cosine"

    def rate(self, progress: float) -> float:
        """The learning rate after the fraction `progress` of all steps.

        A rate that ends at 0 settles what a constant one leaves jittering. The rise keeps the first steps, in
        which Adam's moments know little, from throwing the weights about.
        """
        if progress < self.warm_up:
            return self.learning_rate * progress / self.warm_up
        falling = (progress - self.warm_up) / (1.0 - self.warm_up)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * falling))


RECIPES = {
    recipe.model: recipe
    for recipe in (
        Recipe(),
        Recipe("mnist-transformer", epochs=12, learning_rate=2e-3),
        Recipe("mnist-lstm"),
    )
}


@dataclass(frozen=True)
class GPTRecipe:
    """The choices of a run of `fastnn train gpt`; the defaults make a model that a laptop trains in minutes.

    Args:
        layers: blocks in a row.
        heads: of attention in each; divides the width.
        width: features of a character.
        context: characters that the model sees at once.
        batch_size: windows of that length in a step.
        iterations: steps.
        dropout: as of `GPTConfig`.
        learning_rate: AdamW's, at its highest.
        seed: of weights, windows and dropout.
    """

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    batch_size: int = 12
    iterations: int = 2000
    dropout: float = 0.0
    learning_rate: float = 1e-3
    seed: int = 0

    WARM_UP: ClassVar[int] = 100  # steps, at most a tenth of the run
    FLOOR: ClassVar[float] = 0.1  # what is left of the rate in the end
    BETA_2: ClassVar[float] = 0.99  # less than usual: a step sees few tokens
    WEIGHT_DECAY: ClassVar[float] = 0.1  # of matrices
    CLIP: ClassVar[float] = 1.0  # the norm of all gradients together
    HELD_OUT: ClassVar[float] = 0.1  # of the text, at its end
    EVALUATIONS: ClassVar[int] = 8  # at most
    SAMPLE: ClassVar[int] = 8  # before the last, of one batch in so many: all of a megabyte costs as much as 50 steps
    SCHEDULE: ClassVar[str] = "rises over the first steps, then falls to a tenth along half a cosine"

    @property
    def evaluations(self) -> int:
        """Into how many equal parts evaluations cut the run."""
        return max(parts for parts in range(1, self.EVALUATIONS + 1) if self.iterations % parts == 0)
