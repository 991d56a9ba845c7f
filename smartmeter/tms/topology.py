"""How the TMS reaches its meters, as a graph: what it knows from connections, traces and lists.

A meter's relays are known after a ``trace``; before, several meters on one
connection stand behind one relay without a name.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from smartmeter.network.topology import Place, Topology, Way
from smartmeter.tms.collector import HOST_TITLE
from smartmeter.tms.model import Kind, State
from smartmeter.tms.paths import Paths
from smartmeter.tms.server import TmsServer, far_end

#: Meters that are drawn; more are counted only.
MAX_METERS = 500
#: Relays of one way that are drawn.
MAX_RELAYS = 16
#: Places that hang below each other in the tree.
MAX_DEPTH = 4 * MAX_RELAYS
#: No name that a meter could have.
TMS = "this TMS"
_SAYING_NOTHING = (State.SILENT, State.POWERLESS)
_SOUND = (State.PROVISIONED, State.POLLED, State.REGISTERED, State.PROVISIONING)


def topology_of(server: TmsServer) -> tuple[Topology, int]:
    """Give the graph, and how many meters are not drawn in it."""
    graph = Topology()
    graph.add(Place(TMS, "tms", HOST_TITLE))
    head_end, store = server.head_end, server.store
    sql = "SELECT esn, title, state FROM meters WHERE state!=? ORDER BY esn LIMIT ?"
    rows = store.read(sql, State.RETIRED, MAX_METERS)
    routes = _routes(server)
    paths = head_end.collector.paths
    first_hops = {paths.of(esn): route[0] for esn, route in routes.items() if route}
    for row in rows:
        esn = row["esn"]
        meter = Place(esn, "meter", row["state"], row["state"] in _SOUND)
        path = paths.of(esn)
        if esn in head_end.polled.meters:
            graph.chain([graph.places[TMS], Place(row["title"], "server"), meter])
        elif path is None:
            graph.add(meter)
        else:
            relays = routes.get(esn) or _unnamed(path, paths, first_hops)
            places = [Place(title, "relay") for title in relays]
            graph.chain([graph.places[TMS], *places])
            graph.add(meter)
            upper = places[-1].name if places else TMS
            graph.link(Way(esn, upper, "" if places else far_end(path), meter.sound))
    total = store.number("SELECT count(*) FROM meters WHERE state!=?", State.RETIRED)
    return graph, total - len(rows)


def _routes(server: TmsServer) -> dict[str, list[str]]:
    """Give the relays of each meter that was traced, the one at the TMS first."""
    rows = server.store.read(
        "SELECT esn, result FROM jobs WHERE id IN"
        f" (SELECT max(id) FROM jobs WHERE kind='{Kind.TRACE}' AND state='done' GROUP BY esn)"
    )
    return {row["esn"]: row["result"].split(" > ")[1:-1][:MAX_RELAYS] for row in rows}


def _unnamed(path: Hashable, paths: Paths, first_hops: dict[Hashable, str]) -> list[str]:
    """Give the relay before a meter that was not traced, by who else is behind its path."""
    if path in first_hops:
        return [first_hops[path]]
    return [f"relay at {far_end(path)}"] if paths.crowd(path) > 1 else []


def tree_of(graph: Topology) -> dict[str, Any]:
    """Give the graph below the TMS as a tree, as a chart wants it.

    A place hangs where it was found first, whatever traces tell later: no circle has an end.
    Anybody on the way may forge a trace, and many together a way without an end: what would hang
    deeper than ``MAX_DEPTH`` hangs at the TMS.
    """
    upper: dict[str, str] = {}
    depths = {TMS: 0}
    for way in graph.ways.values():
        if way.lower not in depths:  # the way above it came before
            above = way.upper if depths[way.upper] < MAX_DEPTH else TMS
            upper[way.lower] = above
            depths[way.lower] = depths[above] + 1
    below: dict[str, list[str]] = {}
    for lower, above in upper.items():
        below.setdefault(above, []).append(lower)

    def node(name: str) -> dict[str, Any]:
        place = graph.places[name]
        return {
            "name": name,
            "kind": place.kind,
            "value": place.text,
            "sound": place.sound,
            "children": [node(lower) for lower in below.get(name, [])],
        }

    return node(TMS)


def out_of_reach(graph: Topology) -> list[Place]:
    """Give the meters to which there is no way now, or that say nothing on it.

    Those that were only shipped come last: many that wait in a store would hide who fell silent.
    """
    linked = {way.lower for way in graph.ways.values()}
    lost = [
        one
        for one in graph.places.values()
        if one.kind == "meter" and (one.name not in linked or one.text in _SAYING_NOTHING)
    ]
    return sorted(lost, key=lambda one: one.text == State.SHIPPED)
