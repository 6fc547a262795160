"""`curves.png`: how a training run went. Needs matplotlib, and imports it when it draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastnn.cli.figures import BLUE, INK, VERMILION, new_figure, save


def draw(
    path: Path,
    title: str,
    *,
    loss: Sequence[float],
    accuracy: Sequence[float],
    test_loss: Sequence[float],
    test_accuracy: Sequence[float],
) -> None:
    """Writes loss and accuracy over the epochs, for training and test, as a PNG.

    Args:
        path: the file, which must not exist yet.
        title: the line above both panels.
        loss, accuracy, test_loss, test_accuracy: one number an epoch; accuracies from 0 to 1.

    Raises:
        ImportError: matplotlib is missing or broken.
        OSError: the file exists or cannot be written.
    """
    from matplotlib.ticker import PercentFormatter

    figure = _figure(9.0, title)
    loss_panel, accuracy_panel = figure.subplots(1, 2)
    epochs = range(1, len(loss) + 1)
    _plot(loss_panel, "epoch", epochs, "loss (cross-entropy)", training=loss, test=test_loss)
    _plot(accuracy_panel, "epoch", epochs, "accuracy", training=accuracy, test=test_accuracy)
    loss_panel.set_ylim(bottom=0.0)
    accuracy_panel.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
    save(figure, path)


def draw_loss(
    path: Path, title: str, *, iterations: Sequence[int], loss: Sequence[float], validation_loss: Sequence[float]
) -> None:
    """Writes the loss over the iterations, for training and validation, as a PNG.

    Args:
        path: the file, which must not exist yet.
        title: the line above.
        iterations: where the numbers were taken.
        loss, validation_loss: as many numbers.

    Raises:
        ImportError: matplotlib is missing or broken.
        OSError: the file exists or cannot be written.
    """
    figure = _figure(7.0, title)
    _plot(figure.subplots(), "iteration", iterations, "loss (cross-entropy)", training=loss, validation=validation_loss)
    save(figure, path)


def _figure(width: float, title: str) -> Any:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = new_figure(width, 4.2, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    figure.suptitle(title, fontsize=17, fontweight="bold", color=INK)
    return figure


def _plot(panel: Any, xlabel: str, x: Sequence[int], ylabel: str, **lines: Sequence[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    marker = "o" if len(x) <= 20 else ""  # few points show as dots, many as a line alone
    for (label, values), color in zip(lines.items(), (BLUE, VERMILION)):
        panel.plot(x, values, color=color, label=label, linewidth=2.5, marker=marker, markersize=7)
    panel.set_xlabel(xlabel, fontsize=14, color=INK)
    panel.set_ylabel(ylabel, fontsize=14, color=INK)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    panel.grid(color="#dddddd", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=12, colors=INK)
    panel.legend(fontsize=14, frameon=False, labelcolor=INK)
