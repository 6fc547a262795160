"""How `fastnn train mnist-cnn` trains unless told otherwise: every number that was tuned, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Recipe:
    """The choices of one training run; the defaults are those of the command.

    Args:
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: Adam's, at its highest.
        warm_up: the fraction of the run in which the rate rises from 0 to its highest.
        seed: of weights and shuffling.
    """

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
