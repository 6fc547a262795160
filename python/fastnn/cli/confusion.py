"""`confusion.png`: what each digit was read as. Needs matplotlib, and imports it when it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.cli.figures import BLUE, FAINT, INK, PALE, VERMILION, new_figure, save

_RIGHT = "#d9e8f2"  # a tint of BLUE


def matrix(true: NDArray[Any], read: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """How many images of each class (rows) were read as each class (columns).

    Example:
        >>> matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), classes=2)
        array([[1, 0],
               [1, 1]])
    """
    counts = np.bincount(true.astype(np.int64) * classes + read.astype(np.int64), minlength=classes * classes)
    return counts.reshape(classes, classes)


def draw(path: Path, counts: NDArray[np.int64]) -> None:
    """Writes a confusion matrix as a PNG.

    What was read right is told by numbers alone: on any common scale of colours it would be all that one sees. The colours are
    for the mistakes, by the square root of their number, so that a single one shows beside the most frequent.

    Args:
        path: the file, which must not exist yet.
        counts: as `matrix` gives them.

    Raises:
        ImportError: matplotlib is missing or broken.
        OSError: the file exists or cannot be written.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    classes, images = len(counts), int(counts.sum())
    right = counts.diagonal()
    wrong = counts - np.diag(right)
    most = max(4, wrong.max())  # one mistake is no alarm, even if there are no others
    colors = LinearSegmentedColormap.from_list("mistakes", ["#ffffff", "#f6b48f", VERMILION, "#7a3500"])

    # One cell is 1 x 1; around them lie the names of the digits, the shares and the title.
    left, right_of, head, foot = 1.75, 1.35, 2.75, 1.05
    cell_inches = 0.72
    figure = new_figure((left + classes + right_of) * cell_inches, (head + classes + foot) * cell_inches)
    panel = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_xlim(-0.5 - left, classes - 0.5 + right_of)
    panel.set_ylim(classes - 0.5 + foot, -0.5 - head)
    panel.set_axis_off()

    def text(x: float, y: float, content: str, size: float = 14, color: str = INK, **style: Any) -> None:
        panel.text(x, y, content, fontsize=size, color=color, ha="center", va="center", **style)

    def cell(x: int, y: int, color: Any, number_color: str = INK) -> None:
        panel.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=color, edgecolor="none"))
        if counts[y, x] or x == y:
            number = f"{counts[y, x]:,}"
            text(x, y, number, min(14.0, 72.0 / len(number)), number_color, fontweight="bold")

    for i in range(classes):
        for j in range(classes):
            share = float(np.sqrt(wrong[i, j] / most))
            if i == j:
                cell(j, i, _RIGHT, BLUE)
            elif wrong[i, j]:
                cell(j, i, colors(0.05 + 0.75 * share), "white" if share > 0.7 else INK)
            else:
                cell(j, i, PALE)
        text(-0.9, i, str(i), 17, fontweight="bold")
        text(i, -0.85, str(i), 17, fontweight="bold")
        text(classes + 0.15, i, _share(right[i], counts[i].sum()))
        text(i, classes - 0.05, _share(right[i], counts[:, i].sum()))
    middle = (classes - 1) / 2
    text(-1.65, middle, "true digit", 15, rotation=90)
    text(middle, -1.45, "read as", 15)
    text(classes + 0.15, -0.85, "recall", 13, FAINT)
    text(-1.15, classes - 0.05, "precision", 13, FAINT)
    text(middle, -2.75, f"{right.sum() / images:.2%} test accuracy", 21, fontweight="bold")
    text(middle, -2.2, f"{wrong.sum():,} of {images:,} images read wrong", 15)
    save(figure, path)


def _share(part: int, whole: int) -> str:
    return "–" if whole == 0 else "100%" if part == whole else f"{part / whole:.1%}"
