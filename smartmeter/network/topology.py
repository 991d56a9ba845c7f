"""Who is linked with whom: a graph as values, and as text for Graphviz."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

#: How each kind of place is drawn.
_SHAPES = {
    "tms": ("box3d", "#1565c0"),
    "relay": ("hexagon", "#455a64"),
    "meter": ("ellipse", "#2e7d32"),
    "server": ("component", "#00796b"),
}


@dataclass(frozen=True)
class Place:
    """A node of the graph: ``kind`` is tms, relay, meter or server (a serial server)."""

    name: str
    kind: str
    text: str = ""
    #: Nothing is wrong with it.
    sound: bool = True


@dataclass(frozen=True)
class Way:
    """A link between two places, by their names; ``way`` says what it is."""

    lower: str
    upper: str
    text: str = ""
    sound: bool = True


@dataclass
class Topology:
    """A graph that is put together; a place or way that is there already stays."""

    places: dict[str, Place] = field(default_factory=dict)
    ways: dict[tuple[str, str], Way] = field(default_factory=dict)

    def add(self, *places: Place) -> None:
        """Enter places."""
        for place in places:
            self.places.setdefault(place.name, place)

    def link(self, *ways: Way) -> None:
        """Enter ways between places that are there."""
        for way in ways:
            assert way.lower in self.places and way.upper in self.places, way
            self.ways.setdefault((way.lower, way.upper), way)

    def chain(self, places: Iterable[Place]) -> None:
        """Enter places and the ways between each and the one before it, from the top down."""
        above: Place | None = None
        for place in places:
            self.add(place)
            if above is not None:
                self.link(Way(place.name, above.name))
            above = place

    def dot(self, title: str = "SmartMeter") -> str:
        """Give the graph as Graphviz text: ``dot -Tsvg``."""
        lines = [f"graph {_quoted(title)} {{", "  rankdir=TB;", '  node [fontname="sans-serif"];']
        for place in self.places.values():
            shape, colour = _SHAPES.get(place.kind, ("box", "#616161"))
            label = place.name if not place.text else f"{place.name}\n{place.text}"
            colour = colour if place.sound else "#c62828"
            style = "" if place.sound else ", style=dashed"
            lines.append(
                f"  {_quoted(place.name)} [label={_quoted(label)}, shape={shape},"
                f' color="{colour}"{style}];'
            )
        for way in self.ways.values():
            style = "" if way.sound else ', color="#c62828", style=dashed'
            label = f"label={_quoted(way.text)}" if way.text else 'label=""'
            lines.append(f"  {_quoted(way.upper)} -- {_quoted(way.lower)} [{label}{style}];")
        return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """Give a Graphviz string: whatever is in it, it stays one."""
    plain = "".join(c if c == "\n" or c.isprintable() else "?" for c in text)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
