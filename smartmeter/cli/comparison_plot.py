"""``compare-polling --plot FILE``: both ways of reading over loss, a line for each rate."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from smartmeter.base.errors import SettingsError
from smartmeter.cli.whole_file import save_whole
from smartmeter.simulation.polling import Figures

KINDS = (".svg", ".png", ".pdf")
COLOURS = {"exception": "#1565c0", "polling": "#c62828"}
#: A rate has its style and its marker; of both together there are twenty.
STYLES, MARKERS = ("-", "--", ":", "-."), ("o", "s", "^", "D", "v")
#: How far above the highest point axes go.
HEADROOM = 1.05
#: Figure -> title of its axes.
AXES = {
    "complete_percent": "Intervals there at the end, %",
    "age_p95_s": "Age of data, 95 %, s",
    "octets_per_meter_day": "Octets a meter and day",
    "outage_known_median_s": "Outage known after, median, s",
}


def check_plot(name: str) -> None:
    """Say before the work begins what would keep a plot from being written; SettingsError."""
    path = Path(name)
    if path.suffix.lower() not in KINDS:
        raise SettingsError(
            "--plot", f"{name!r:.80} is no kind of picture", f"end it in {', '.join(KINDS)}"
        )
    if not path.parent.is_dir():
        raise SettingsError("--plot", f"{path.parent} is no folder", "make it first")
    try:
        import matplotlib  # noqa: F401 - only whether it is there
    except ImportError:
        remedy = 'pip install "smartmeter[plot]"'
        raise SettingsError("--plot", "needs the package matplotlib", remedy) from None


def write_plot(name: str, found: list[Figures], told: str) -> None:
    """Draw the figures into a file; ``told`` says beneath the title what was compared."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    figure.suptitle(f"Poll by exception against polling\n{told}")
    for axes, (field, title) in zip(figure.subplots(2, 2).flat, AXES.items(), strict=True):
        _draw(axes, field, found)
        axes.set_title(title)
        axes.set_xlabel("messages lost, %")
        axes.set_xticks(sorted({one.loss_percent for one in found}))
        axes.set_ylim(0, HEADROOM * axes.get_ylim()[1])
        if not axes.lines:
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        axes.grid(alpha=0.3)
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=4)
    path, drawn = Path(name), BytesIO()
    figure.savefig(drawn, dpi=120, format=path.suffix[1:].lower())
    try:
        save_whole(path, drawn.getvalue())
    except OSError as error:
        raise SettingsError("--plot", f"{name}: {error.strerror}", "choose another file") from None


def _draw(axes: Any, field: str, found: list[Figures]) -> None:
    """Add a line for each way and rate, of the cases that have this figure."""
    for number, rate in enumerate(dict.fromkeys(one.rate_bps for one in found)):
        for mode, colour in COLOURS.items():
            points = sorted(
                (one.loss_percent, getattr(one, field))
                for one in found
                if (one.mode, one.rate_bps) == (mode, rate) and getattr(one, field) is not None
            )
            if points:
                style, marker = STYLES[number % len(STYLES)], MARKERS[number % len(MARKERS)]
                label, look = f"{mode}, {rate} bit/s", {"marker": marker, "color": colour}
                axes.plot(*zip(*points, strict=True), style, label=label, **look)
