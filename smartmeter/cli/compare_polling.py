"""``smartmeter compare-polling``: poll by exception against polling, as a table and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import product

import click

from protocols.transports.capture import active
from smartmeter.cli.comparison_plot import check_plot, write_plot
from smartmeter.cli.file_name import file_option
from smartmeter.cli.terminal import CountedProgress, table
from smartmeter.network.link import LinkSettings
from smartmeter.simulation.polling import Figures, compare

MAX_METERS, MAX_DAYS = 5000, 60
BAR = 40
#: Columns that every table begins with, then each table's own; all fit on 80 characters.
_CASE = (("mode", "way"), ("rate_bps", "bit/s"), ("loss_percent", "loss %"))
_TABLES = (
    (
        "What was there at the end, when the newest were on their way, and its age",
        (
            ("intervals_per_hour", "per hour"),
            ("complete_percent", "there %"),
            ("age_median_s", "age 50% s"),
            ("age_p95_s", "age 95% s"),
        ),
    ),
    (
        "What a meter's line carried a day",
        (("octets_per_meter_day", "octets"), ("line_s_per_meter_day", "seconds")),
    ),
    (
        "Outages: after how long known, or missed; false: there was none",
        (
            ("outage_known_median_s", "known s"),
            ("outages_missed", "missed"),
            ("outages", "outages"),
            ("false_alarms", "false"),
        ),
    ),
)


@click.command()
@click.option("--meters", default=10, show_default=True, type=click.IntRange(1, MAX_METERS))
@click.option("--days", default=1, show_default=True, type=click.IntRange(1, MAX_DAYS))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, (1 << 63) - 1))
@click.option(
    "--rate",
    "rates",
    multiple=True,
    default=(9600, 1200),
    show_default=True,
    type=click.IntRange(50, 10**9),
    help="Bits a second of each link; give it again for more.",
)
@click.option(
    "--loss",
    "losses",
    multiple=True,
    default=(0, 20),
    show_default=True,
    type=click.IntRange(0, 90),
    help="Messages lost of a hundred; give it again for more.",
)
@click.option(
    "--delay-ms", default=1500, show_default=True, type=click.IntRange(0, 60_000), help="One way."
)
@file_option("--plot", help="Draw the figures over loss too: .svg, .png or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def command(
    meters: int,
    days: int,
    seed: int,
    rates: tuple[int, ...],
    losses: tuple[int, ...],
    delay_ms: int,
    plot: str | None,
    as_json: bool,
) -> None:
    """Run the same meters, links and faults both ways, and tell what came of it.

    Also where polling is no worse: with few meters on a fast line without loss.
    """
    if plot is not None:
        check_plot(plot)
    found: list[Figures] = []
    cases = list(dict.fromkeys(product(rates, losses)))
    with CountedProgress("links", len(cases)) as progress:
        for case, (rate, loss) in enumerate(cases):
            link = LinkSettings(delay_ms * 1000, delay_ms * 500, loss, rate)
            found += compare(meters, days, seed, link, active(), case)
            progress.reach(case + 1)
    if plot is not None:
        told = f"meters: {meters}, days: {days}, seed {seed}, {delay_ms} ms one way"
        write_plot(plot, found, told)
    if as_json:
        click.echo(json.dumps([one.value() for one in found]))
        return
    for title, columns in _TABLES:
        click.echo(_table(title, (*_CASE, *columns), found), nl=False)
    click.echo(_plot(found))
    click.echo(_no_worse(found))


def _table(title: str, columns: Sequence[tuple[str, str]], found: list[Figures]) -> str:
    rows = [[_shown(one.value()[name]) for name, _ in columns] for one in found]
    return table(title, [heading for _, heading in columns], rows)


def _shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _plot(found: list[Figures]) -> str:
    """Draw the age of data, and when an outage was known, as bars."""
    lines = []
    for name, title in (
        ("age_p95_s", "Age of data, 95 %, s"),
        ("outage_known_median_s", "Outage known after, median, s"),
    ):
        if name == "outage_known_median_s" and not any(one.outages for one in found):
            lines.append("\nNo mains failed for longer than half a minute: more --days or --meters")
            continue
        values = [(one, getattr(one, name)) for one in found]
        longest = max((value for _, value in values if value is not None), default=0) or 1
        lines.append(f"\n{title}")
        for one, value in values:
            label = f"{one.mode:>10} {one.rate_bps:>6} bit/s {one.loss_percent:>2} %"
            bar = "" if value is None else "█" * max(1, round(BAR * value / longest))
            lines.append(f"{label} {bar} {'never' if value is None else round(value)}")
    return "\n".join(lines)


def _no_worse(found: list[Figures]) -> str:
    """Say of each link in what polling came out no worse; the runs are in pairs."""
    lines = ["\nWhere polling is no worse"]
    for exception, polling in zip(found[::2], found[1::2], strict=True):
        words = [
            words
            for words, ours, theirs in (
                ("what arrived", -exception.complete_percent, -polling.complete_percent),
                ("age of half the data", exception.age_median_s, polling.age_median_s),
                ("age of the oldest", exception.age_p95_s, polling.age_p95_s),
                ("octets", exception.octets_per_meter_day, polling.octets_per_meter_day),
                ("false alarms", exception.false_alarms, polling.false_alarms),
                *_outage_figures(exception, polling),
            )
            if theirs <= ours
        ]
        link = f"{exception.rate_bps:>6} bit/s {exception.loss_percent:>2} %"
        lines.append(f"{link}: {', '.join(words) or 'nowhere'}")
    return "\n".join(lines)


def _outage_figures(exception: Figures, polling: Figures) -> Iterator[tuple[str, float, float]]:
    """Give what there is to compare of outages: nothing where there were none."""
    if exception.outages:
        yield "outages missed", exception.outages_missed, polling.outages_missed
        known = exception.outage_known_median_s, polling.outage_known_median_s
        if known[0] is not None and known[1] is not None:
            yield "outages known after", known[0], known[1]
