"""The option that switches C12.22's segmentation on, for verbs that send datagrams."""

from __future__ import annotations

import click

from smartmeter.comms.bearer import MAX_SEGMENT_OCTETS, MIN_SEGMENT_OCTETS

segment_option = click.option(
    "--segment",
    type=click.IntRange(MIN_SEGMENT_OCTETS, MAX_SEGMENT_OCTETS),
    metavar="OCTETS",
    help="Over UDP send what is longer in C12.22 segments, and join such: a draft's form, which"
    " the far end must know.  See docs/bearers.rst.",
)
