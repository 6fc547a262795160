"""What the pictures of a run have in common. Needs matplotlib, and imports it when one is drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from fastnn.cli.run_folder import write_new

BLUE, VERMILION = "#0072b2", "#d55e00"  # told apart with any colour vision, and in grey
INK = "#333333"
FAINT, PALE = "#757575", "#f4f4f4"


def new_figure(width: float, height: float, layout: Any = None) -> Any:
    """A figure of so many inches. Without pyplot: no window system, no backend from the user's settings, no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: Path) -> None:
    """Writes the figure as a PNG, as `write_new` does."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_new(path, content.getvalue())
