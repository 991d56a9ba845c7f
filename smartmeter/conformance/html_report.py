"""A report as one self-contained HTML page: no script from elsewhere, no network, prints well."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from smartmeter.conformance.report import Report
from smartmeter.conformance.verdicts import Result, Verdict

_STYLE = """
:root { --ink: #1c2733; --faint: #5d6b7a; --line: #d9e0e7; --page: #f5f7f9; --card: #fff;
  --bad: #b3261e; --doubt: #8a5a00; --good: #1b6e3c; --note: #2f5f9e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --faint: #9aa8b6; --line: #33404d;
  --page: #12181f; --card: #1b232c; --bad: #ff8a80; --doubt: #ffc766; --good: #7bd69c;
  --note: #9cc3f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
h2::first-letter { text-transform: uppercase; }
.device { color: var(--faint); margin: .3rem 0 1.4rem; }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--faint); }
details, .row { background: var(--card); border: 1px solid var(--line); border-top-width: 0;
  padding: .45rem .9rem; }
section > :nth-child(2) { border-top-width: 1px; border-top-left-radius: .5rem;
  border-top-right-radius: .5rem; }
section > :last-child { border-bottom-left-radius: .5rem; border-bottom-right-radius: .5rem; }
summary { cursor: pointer; }
.head { display: inline-grid; grid-template-columns: 8.5rem 4rem 1fr; gap: .5rem;
  width: calc(100% - 1.5rem); vertical-align: top; }
.row .head { width: 100%; padding-left: 1.1rem; }
.text { color: var(--faint); display: block; }
.violation { color: var(--bad); font-weight: 600; }
.doubtful { color: var(--doubt); font-weight: 600; }
.advice, .waived { color: var(--note); }
.passed { color: var(--good); }
.not-applicable, .not-run { color: var(--faint); }
pre { overflow-x: auto; font: 12.5px/1.45 ui-monospace, "DejaVu Sans Mono", monospace;
  background: var(--page); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem; }
@media (max-width: 40rem) { .head { grid-template-columns: 1fr; gap: 0; } }
@media print { body { background: #fff; } details { break-inside: avoid; } }
"""

_TILES = (
    Verdict.PASSED,
    Verdict.VIOLATION,
    Verdict.DOUBTFUL,
    Verdict.ADVICE,
    Verdict.WAIVED,
    Verdict.NOT_APPLICABLE,
    Verdict.NOT_RUN,
)


def to_html(report: Report) -> str:
    """Give the page."""
    device = " ".join(str(value) for value in report.device.values()) or "a device"
    how = ", ".join(f"{key} {value}" for key, value in report.run.items())
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Conformance of {escape(device)}</title><style>{_STYLE}</style></head>",
            f"<body><main><h1>Conformance of {escape(device)}</h1>",
            f'<p class="device">{escape(how)}</p><div class="tiles">',
            *(_tile(report, verdict) for verdict in _TILES),
            "</div>",
            *_failures(report),
            *_groups(report),
            '<p class="device">A <b>violation</b> rests on two independent sources; '
            "<b>doubtful</b> on one, or on memory of the standard; <b>advice</b> is our "
            "recommendation.</p></main></body></html>\n",
        )
    )


def _tile(report: Report, verdict: Verdict) -> str:
    count = report.count(verdict)
    colour = _class(verdict) if count else "not-run"
    return f'<div class="tile"><b class="{colour}">{count}</b><span>{verdict.value}</span></div>'


def _class(verdict: Verdict) -> str:
    return verdict.value.replace(" ", "-")


def _failures(report: Report) -> Iterator[str]:
    found = [result for result in report.results if result.verdict.failed]
    found.sort(key=lambda result: _TILES.index(result.verdict))
    if found:
        yield "<section><h2>What was found</h2>"
        for result in found:
            yield _opened(result, result.verdict is Verdict.VIOLATION)
        yield "</section>"


def _groups(report: Report) -> Iterator[str]:
    for group in dict.fromkeys(result.group for result in report.results):
        yield f"<section><h2>{escape(group)}</h2>"
        for result in report.results:
            if result.group == group:
                yield f'<div class="row">{_head(result)}</div>'
        yield "</section>"


def _head(result: Result) -> str:
    text = f'<span class="text">{escape(result.text)}</span>' if result.text else ""
    return (
        f'<span class="head"><span class="{_class(result.verdict)}">{result.verdict.value}</span>'
        f"<code>{escape(result.check)}</code><span>{escape(result.title)}{text}</span></span>"
    )


def _opened(result: Result, is_open: bool) -> str:
    octets = "\n".join(result.transcript.lines())
    steps = "".join(f"<li>{escape(step)}</li>" for step in result.steps)
    return (
        f"<details{' open' if is_open else ''}><summary>{_head(result)}</summary>"
        f"<p>Rests on {escape(result.basis.value)}.</p>{f'<ol>{steps}</ol>' if steps else ''}"
        f"<pre>{escape(octets) or 'nothing was sent'}</pre></details>"
    )
