"""Titles of single nodes as people write them."""

from __future__ import annotations

from protocols.c1222.addressing import is_group
from protocols.c1222.ap_title import ApTitle
from protocols.errors import LocalProtocolError
from smartmeter.base.errors import SettingsError

REMEDY = "write .7.42 or 2.16.124.113620.1.22.0.7.42"


def node_title(place: str, text: str) -> ApTitle:
    """Read the title of one node, or of a domain; SettingsError names the place."""
    try:
        title = ApTitle.parse(text)
        title.universal()
    except LocalProtocolError as error:
        fault = str(error).partition(";")[0]  # it has a remedy of its own
        raise SettingsError(place, fault, REMEDY) from None
    if not title.arcs:
        raise SettingsError(place, f"{text!r:.80} names nobody", REMEDY)
    if is_group(title):
        raise SettingsError(place, f"{text!r:.80} means many nodes, as an arc is 0", REMEDY)
    return title
