"""`mistakes.png`: the images that were read wrong. Needs matplotlib, and imports it when it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.cli.figures import FAINT, INK, PALE, VERMILION, new_figure, save

_SHOWN = 40
_COLUMNS, _FEWEST_COLUMNS = 8, 4


def draw(path: Path, images: NDArray[np.uint8], true: NDArray[Any], probabilities: NDArray[Any]) -> None:
    """Writes the mistakes that the model was surest of as a PNG, the surest first.

    Args:
        path: the file, which must not exist yet.
        images: `(count, height, width)`, 255 for ink.
        true: the digits that they show.
        probabilities: `(count, classes)`, what the model says.

    Raises:
        ImportError: matplotlib is missing or broken.
        OSError: the file exists or cannot be written.
    """
    from matplotlib.colors import LinearSegmentedColormap

    read, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(read != true)
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:_SHOWN]
    columns = min(_COLUMNS, max(_FEWEST_COLUMNS, len(shown)))
    rows = -(-len(shown) // columns)
    # In inches: a cell, the space between two, what the words below an image need, the title and the margins.
    size, gap, caption, head, margin = 1.3, 0.25, 0.62, 0.95, 0.3
    across, down = size + gap, size + caption
    width, height = 2 * margin + columns * across - gap, head + (rows * down if len(shown) else 0.6) + margin
    start = (width + gap - across * min(columns, len(shown))) / 2
    figure = new_figure(width, height)
    panel = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_axis_off()

    def text(x: float, y: float, content: str, size: float, color: str = INK, **style: Any) -> None:
        panel.text(x, y, content, fontsize=size, color=color, ha="center", va="center", **style)

    text(width / 2, 0.45, _title(len(shown), len(wrong), len(true)), 19, fontweight="bold")
    if not len(shown):
        text(width / 2, head + 0.1, f"{len(true):,} test images, all of them read right", 15, FAINT)
    grey = LinearSegmentedColormap.from_list("ink", [PALE, "black"])
    for place, index in enumerate(shown):
        row, column = divmod(place, columns)
        x, y = start + column * across, head + row * down
        panel.imshow(images[index], cmap=grey, vmin=0, vmax=255, interpolation="nearest", extent=(x, x + size, y + size, y))
        text(x + size / 2, y + size + 0.15, f"true {true[index]}, read {read[index]}", 12)
        text(x + size / 2, y + size + 0.34, f"{100.0 * sure[index]:.0f} %", 12, VERMILION, fontweight="bold")
    panel.set_xlim(0.0, width)  # after the images, which set them too
    panel.set_ylim(height, 0.0)
    panel.set_aspect("auto")
    save(figure, path)


def _title(shown: int, mistakes: int, images: int) -> str:
    if mistakes == 0:
        return "No mistakes"
    if shown < mistakes:
        return f"The {shown} surest of {mistakes:,} mistakes in {images:,} test images"
    return f"{mistakes} mistake{'' if mistakes == 1 else 's'} in {images:,} test images"
