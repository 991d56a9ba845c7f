"""The network: how each meter is reached, as a tree, and who is out of reach."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from smartmeter.tms.service import Service
from smartmeter.tms.web.frame import card, heading, live
from smartmeter.tms.web.tables import ROWS, PagedTable, fill, table

REFRESH_S = 5.0
#: The tree is fetched by the browser: big data never goes through the page's own channel.
TREE_SCRIPT = """
(async () => {
  const element = getElement(%(id)d);
  const answer = await fetch('/api/topology');
  if (!answer.ok || !element || !element.chart) return;
  const data = await answer.json();
  const colours = {tms: '#1565c0', relay: '#546e7a', meter: '#2e7d32', server: '#00796b'};
  const symbols = {tms: 'roundRect', relay: 'diamond', meter: 'circle', server: 'rect'};
  const ink = document.body.classList.contains('body--dark') ? '#cfd8e3' : '#44505e';
  const width = element.$el.clientWidth;
  const narrow = width < 500;  // a phone has no room for states beside names
  const beside = (narrow ? .36 : .22) * width;
  let leaves = 0, deepest = 1;
  const paint = (node, depth) => {
    const colour = node.sound ? colours[node.kind] : '#c62828';
    deepest = Math.max(deepest, depth);
    if (!node.children.length) leaves += 1;
    return {...node, symbol: symbols[node.kind], label: depth ? {} : {width: 64, formatter: '{b}'},
      itemStyle: {color: colour, borderColor: colour},
      lineStyle: node.sound ? {} : {color: '#c62828', type: 'dashed'},
      children: node.children.map(below => paint(below, depth + 1))};
  };
  const tree = paint(data.tree, 0);
  // Names stand side by side, and two halves of them, or a half and "this TMS", between two marks.
  const step = (.88 * width - beside) / deepest;
  const room = deepest > 2 ? step - 8 : 2 * step - 72;
  element.$el.style.height = Math.max(14 * 16, 22 * leaves) + 'px';
  element.chart.resize();
  // The name of a relay or server whose one meter is the first stands above the topmost mark.
  element.chart.setOption({series: [{type: 'tree', data: [tree], orient: 'LR', left: '12%%',
    right: beside, top: 28, bottom: '2%%', initialTreeDepth: -1,
    symbolSize: 11, animation: false, roam: false,
    label: {position: 'top', align: 'center', distance: 8, color: ink,
      width: Math.max(room, 24), overflow: 'truncate'},
    leaves: {label: {position: 'right', align: 'left', color: ink, width: beside - 16,
      formatter: p => p.name + (p.value && !narrow ? '  ' + p.value : '')}}}]});
})()
"""


def draw(service: Service) -> None:
    """Draw the page and keep it live."""
    out_of_reach: list[dict[str, Any]] = []

    def rows_of(offset: int) -> tuple[int, list[dict[str, Any]]]:
        return len(out_of_reach), out_of_reach[offset : offset + ROWS]

    heading("Network", 1)
    with card("Ways to the meters"):
        ui.label(
            "Relays have their titles after a trace of a meter behind them; red is out of order."
        ).classes("faint")
        chart = ui.echart({"series": [], "tooltip": {}}).classes("w-full").style("height: 20rem")
        left_out = ui.label().classes("faint")
        ui.link("The same as Graphviz text", "/api/topology.dot").classes("text-primary")
    with card("Out of reach"):
        lost = PagedTable(
            [("esn", "SmartMeter"), ("state", "State")],
            "Nobody who is drawn is silent, without power or without a way.",
            rows_of,
        )
    with card("What passed and what was refused"):
        counts = table([("what", "What"), ("count", "Times")], "Nothing yet.")

    def refresh() -> None:
        value = service.topology()
        out_of_reach[:] = value["out_of_reach"]
        lost.refresh()
        more = value["left_out"]
        left_out.text = f"{more:,} more meters are not drawn, nor listed below." if more else ""
        network = service.network().items()
        fill(counts, [{"what": what, "count": f"{count:,}"} for what, count in network])
        ui.run_javascript(TREE_SCRIPT % {"id": chart.id})

    live(service, REFRESH_S, refresh, 0.2)
