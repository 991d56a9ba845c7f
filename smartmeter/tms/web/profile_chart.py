"""The chart of a meter's load profile: gaps are gaps, and what was filled later is marked."""

from __future__ import annotations

from nicegui import ui

from smartmeter.tms.collected import MAX_INTERVALS
from smartmeter.tms.web.frame import GRID

#: Of a profile of years a month of quarters of an hour is drawn, unless all are wanted.
NEWEST = 3000
#: Gives a channel's line from what the REST API tells: each value over its own interval, and
#: nothing where no interval is; exact values may be text, and fractions.
POINTS = """(data, values) => {
  const number = v => typeof v === 'string' ? v.split('/').reduce((a, b) => a / b) * 1 : v;
  return data.end_s.flatMap((end, i) => {
    const value = number(values[i]), begin = end - data.length_s[i];
    if (!end) return [];  // the meter gave it no time
    const goesOn = i > 0 && data.end_s[i - 1] === begin;
    return [...(goesOn ? [] : [[begin * 1000, null], [begin * 1000, value]]), [end * 1000, value]];
  });
}"""
#: The profile is fetched by the browser: big data never goes through the page's own channel.
SCRIPT = """
(async () => {
  const element = getElement(%(id)d);
  const choice = 'place=1&set=%(set)d&limit=%(limit)d';
  const answer = await fetch('/api/meters/%(esn)s/load-profile?' + choice);
  if (!answer.ok || !element || !element.chart) return;
  const data = await answer.json();
  const ink = document.body.classList.contains('body--dark') ? '#cfd8e3' : '#44505e';
  const points = %(points)s;
  const lines = data.values.map(values => points(data, values));
  const filled = new Set(data.back_filled.map(i => data.end_s[i] * 1000).slice(-300));
  element.chart.setOption({
    legend: {data: data.channels, top: 0, textStyle: {color: ink}},
    graphic: data.end_s.length ? [] : [{type: 'text', left: 'center', top: 'middle',
      style: {text: 'No interval has come in yet.', fill: ink, fontSize: 14}}],
    series: data.channels.map((name, n) => ({
      name, type: 'line', step: 'start', showSymbol: false, sampling: 'lttb', areaStyle: n ? null :
      {opacity: .15}, data: lines[n],
      markPoint: n ? undefined : {symbol: 'circle', symbolSize: 5, label: {show: false},
        itemStyle: {color: '#ef6c00'},
        data: lines[n].filter(p => p[1] !== null && filled.has(p[0])).map(p => ({coord: p}))}
    }))
  }, {replaceMerge: ['series', 'graphic']});
})()
"""


class ProfileChart:
    """The chart, with its choice of sets and of how much is drawn."""

    def __init__(self, esn: str) -> None:
        self._esn = esn
        self._sets: list[int] = []
        self._shown: tuple[object, ...] = ()
        ui.label("Orange marks: filled from the meter after a silence.").classes("faint")
        with ui.row().classes("gap-4"):
            self._set = ui.toggle({1: "set 1"}, value=1)
            self._span = ui.toggle({NEWEST: "newest", MAX_INTERVALS: "all"}, value=NEWEST)
        for toggle, mark in ((self._set, "sets"), (self._span, "span")):
            toggle.props("no-caps dense").mark(mark).set_visibility(False)
        self._chart = _empty()

    def refresh(self, sets: list[int], intervals: int) -> None:
        """Draw what is new; a single set, and a profile that is drawn whole, need no choice."""
        if sets and sets != self._sets:
            self._sets = sets
            chosen = self._set.value if self._set.value in sets else sets[0]
            self._set.set_options({number: f"set {number}" for number in sets}, value=chosen)
        self._set.set_visibility(len(sets) > 1)
        self._span.set_visibility(intervals > NEWEST)
        wanted = self._set.value, self._span.value, intervals
        if wanted != self._shown:
            self._shown = wanted
            about = {"id": self._chart.id, "esn": self._esn, "points": POINTS}
            about |= {"set": self._set.value, "limit": self._span.value}
            ui.run_javascript(SCRIPT % about)


def _empty() -> ui.echart:
    ink = "#7a8899"
    options = {
        "animation": False,
        "grid": {"left": 48, "right": 16, "top": 34, "bottom": 64},
        "tooltip": {"trigger": "axis"},
        "dataZoom": [{"type": "inside"}, {"type": "slider", "height": 20, "bottom": 10}],
        "xAxis": {"type": "time", "axisLabel": {"color": ink, "hideOverlap": True}},
        "yAxis": {
            "type": "value",
            "axisLabel": {"color": ink},
            "splitLine": {"lineStyle": {"color": GRID}},
        },
        "useUTC": True,
        "series": [],
    }
    return ui.echart(options).classes("w-full").style("height: 20rem")
