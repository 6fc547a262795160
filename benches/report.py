"""What `benches.compare` has measured, for people: a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MEANINGFUL_ROUNDS = 7
_QUIET_CPUS = 0.1
# Of Okabe and Ito, one of Tol, told apart with any colour vision; whoever draws one participant more must find one colour more.
COLORS = {
    "fastnn": "#d55e00",
    "torch": "#0072b2",
    "torch-channels-last": "#56b4e9",
    "torch-compile": "#000000",
    "jax": "#009e73",
    "keras-tensorflow": "#e69f00",
    "keras-jax": "#cc79a7",
    "onnxruntime": "#f0e442",
    "xnnpack": "#882255",
    "scikit-learn": "#999999",
}


def _shown(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _ratio(ratio: dict[str, Any]) -> str:
    return f"{ratio['median']:.2f} ({ratio['low']:.2f} - {ratio['high']:.2f})"


def _of(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


def table(everything: dict[str, Any]) -> str:
    """All comparisons, the fastest first in each, and what is to be known about them."""
    about, results, options = everything["machine"], everything["results"], everything["options"]
    rows: list[tuple[str, ...]] = [("", "per second", "lowest - highest", "fastnn's speed over it")]
    for result in results:
        participants = result["participants"]
        threads = _of(result["threads"], "thread")
        rows.append((f"{result['workload']}, batch {result['batch_size']}, {threads}: {result['unit']}", "", "", ""))
        for name in sorted(participants, key=lambda name: -participants[name]["per_second"]["median"]):
            speed, ratio = participants[name]["per_second"], participants[name].get("fastnn_ratio")
            low_high = f"{_shown(speed['low'])} - {_shown(speed['high'])}"
            rows.append((f"  {name}", _shown(speed["median"]), low_high, _ratio(ratio) if ratio else ""))
        if (best := result["best_peer_ratio"]) and len(participants) > 2:
            rows.append(("  the fastest peer of each round", "", "", _ratio(best)))
    widths = [max(len(row[column]) for row in rows if row[1]) for column in range(4)]
    widths[0] = max(widths[0], len("  the fastest peer of each round"))
    lines = [
        f"{about['cpu']}, {_of(about['cpus'], 'CPU')}, {about['isa']}, Python {about['python']}; medians of "
        f"{_of(options['rounds'], 'round')}",
        "",
    ]
    for row in rows:
        if len(lines) > 3 and not row[1] and not row[3]:
            lines.append("")  # between comparisons
        cells = (row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:])))
        lines.append("  ".join(cells).rstrip())
    lines += ["", "versions: " + "; ".join(f"{name} {version}" for name, version in everything["versions"].items())]
    if everything["missing"]:
        lines.append(f"not installed, so not compared: {', '.join(everything['missing'])}")
    for workload, absent in {result["workload"]: result["absent"] for result in results if result["absent"]}.items():
        lines.append(f"take no part in {workload}: {', '.join(absent)}")
    for result in results:
        for name, why in result["failed"].items():
            lines.append(f"failed: {name}, {result['workload']}, batch {result['batch_size']}: {why}")
    turns = [turn for result in results for each in result["participants"].values() for turn in each["turns"]]
    busy = max(turn["other_cpus"] for turn in turns)
    if busy > _QUIET_CPUS:
        lines.append(f"Not a quiet machine: other programs kept up to {busy:.1f} CPUs busy meanwhile.")
    if options["rounds"] < MEANINGFUL_ROUNDS:
        lines.append(f"A hint only: {_of(options['rounds'], 'round')}; a result takes {MEANINGFUL_ROUNDS}.")
    return "\n".join(lines)


def draw(path: Path, everything: dict[str, Any]) -> None:
    """A PNG: a row of panels for each workload and number of threads, a column for each batch size, a bar for each."""
    save(figure(everything), path)


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, format="png")


def figure(everything: dict[str, Any]) -> Any:
    """The figure that `draw` saves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in everything["results"]:
        rows.setdefault((result["workload"], result["threads"]), []).append(result)
    columns = max(map(len, rows.values()))
    # A row has a bar's place for whoever takes part in it anywhere.
    names = [[name for name in COLORS if any(name in each["participants"] for each in row)] for row in rows.values()]
    legend = [name for name in COLORS if any(name in row for row in names)]

    bar, gap, foot, left, width = 0.24, 0.95, 0.95, 1.7, 3.6  # inches
    legend_lines = -(-len(legend) // max(1, int((left + width * columns) / 1.75)))
    head = 0.85 + 0.21 * legend_lines
    size = (left + width * columns, head + foot + sum(bar * len(row) + gap for row in names) - gap)
    drawn = Figure(figsize=size, dpi=150)
    FigureCanvasAgg(drawn)
    middle = {"ha": "center", "va": "center"}
    drawn.text(0.5, 1 - 0.28 / size[1], "How many per second (more is better)", fontsize=13, weight="bold", **middle)
    about, rounds = everything["machine"], _of(everything["options"]["rounds"], "round")
    note = f"{about['cpu']}, {about['isa']}\nbars: medians of {rounds}; lines: lowest to highest"
    drawn.text(0.5, 0.25 / size[1], note, fontsize=8, color="#555555", **middle)
    drawn.legend(
        handles=[Patch(facecolor=COLORS[name], edgecolor="#333333", linewidth=0.5, label=name) for name in legend],
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.42 / size[1]),
        ncols=-(-len(legend) // legend_lines),
        frameon=False,
        fontsize=9,
    )
    top = size[1] - head
    for row, present in zip(rows.values(), names):
        height = bar * len(present)
        for column, result in enumerate(row):
            place = (left + width * column, top - height, width - 0.45, height)
            panel = drawn.add_axes((place[0] / size[0], place[1] / size[1], place[2] / size[0], place[3] / size[1]))
            _draw_panel(panel, result, present, named=column == 0)
        top -= height + gap
    return drawn


def _draw_panel(panel: Any, result: dict[str, Any], names: list[str], named: bool) -> None:
    participants, threads = result["participants"], _of(result["threads"], "thread")
    panel.set_title(f"{result['workload']}, {threads}, batch {result['batch_size']}", fontsize=9.5, loc="left")
    speeds = {name: participants[name]["per_second"] for name in names if name in participants}
    most = max(speed["high"] for speed in speeds.values())
    for y, name in enumerate(names):
        if (speed := speeds.get(name)) is None:
            panel.text(0.01 * most, y, "failed", va="center", fontsize=8, color="#757575")
            continue
        panel.barh(y, speed["median"], 0.78, color=COLORS[name], edgecolor="#333333", linewidth=0.5)
        for color, line in (("white", 2.6), ("#333333", 1.0)):  # seen on bars of any colour
            panel.plot([speed["low"], speed["high"]], [y, y], color=color, linewidth=line, solid_capstyle="butt")
        weight = "bold" if name == "fastnn" else "normal"
        panel.text(speed["high"] + 0.02 * most, y, _shown(speed["median"]), va="center", fontsize=8, weight=weight)
    panel.set_xlim(0, 1.25 * most)  # the longest bar has its number beside it
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_yticks(range(len(names)), names if named else [""] * len(names), fontsize=9)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize=7.5)
    panel.locator_params(axis="x", nbins=4)
    panel.set_xlabel(f"{result['unit']}/s", fontsize=8, labelpad=3)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:g}")
    panel.spines[["top", "right"]].set_visible(False)
