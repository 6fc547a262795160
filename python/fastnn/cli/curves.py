"""`curves.png`: how a training run went. Needs matplotlib, and imports it when it draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = new_figure(9.0, 4.2, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    figure.suptitle(title, fontsize=17, fontweight="bold", color=INK)
    loss_panel, accuracy_panel = figure.subplots(1, 2)
    epochs = range(1, len(loss) + 1)
    for panel, name, training, test in (
        (loss_panel, "loss (cross-entropy)", loss, test_loss),
        (accuracy_panel, "accuracy", accuracy, test_accuracy),
    ):
        marker = "o" if len(epochs) <= 20 else ""  # few points show as dots, many as a line alone
        for label, color, values in (("training", BLUE, training), ("test", VERMILION, test)):
            panel.plot(epochs, values, color=color, label=label, linewidth=2.5, marker=marker, markersize=7)
        panel.set_xlabel("epoch", fontsize=14, color=INK)
        panel.set_ylabel(name, fontsize=14, color=INK)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        panel.grid(color="#dddddd", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=12, colors=INK)
        panel.legend(fontsize=14, frameon=False, labelcolor=INK)
    loss_panel.set_ylim(bottom=0.0)
    accuracy_panel.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
    save(figure, path)
