"""``smartmeter tms export``: what a TMS has collected, as CSV or JSON lines."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from smartmeter.base.errors import StorageError
from smartmeter.base.instant import utc_second
from smartmeter.cli.esn_list import named_esns
from smartmeter.cli.file_name import NAME, NAME_OR_OUTPUT, STANDARD_STREAM, file_option
from smartmeter.cli.given import not_empty
from smartmeter.cli.terminal import WorkProgress
from smartmeter.cli.whole_file import whole_file

#: As in ``smartmeter.tms.exports.kinds``, which is loaded only when it is used.
KINDS = ("intervals", "readings", "events", "alarms", "outages")
FORMATS = ("csv", "jsonl")


@click.command(name="export")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("esns", nargs=-1, metavar="[ESN]...")
@click.option(
    "--data",
    required=True,
    metavar="DIR|FILE",
    type=NAME,
    help="Folder of a TMS, which may run meanwhile, or a copy of its database.",
)
@file_option("--list", "list_file", help="ESNs, one a line.")
@click.option(
    "--from", "from_", default="", callback=not_empty, metavar="TIME", help="UTC, 2026-11-01T00:00."
)
@click.option(
    "--to",
    default="",
    callback=not_empty,
    metavar="TIME",
    help="Up to it; spans join without a seam.",
)
@click.option(
    "--place", is_flag=True, help="With the meters that they replaced, each for its time there."
)
@click.option("--format", "format_", default="csv", show_default=True, type=click.Choice(FORMATS))
@file_option(
    "--out",
    type=NAME_OR_OUTPUT,
    default=STANDARD_STREAM,
    show_default=True,
    help="Takes its name when it is whole; - is standard output.",
)
def command(
    kind: str,
    esns: tuple[str, ...],
    data: str,
    list_file: str | None,
    from_: str,
    to: str,
    place: bool,
    format_: str,
    out: str,
) -> None:
    """Write what was collected as CSV or JSON lines.

    KIND is what; it is of the meters named, or of all.  Values are exact, in the unit that the
    meter told when it recorded them; times are UTC, and the meter's own where it tells its zone.
    """
    from smartmeter.tms.exports.archive import Archive
    from smartmeter.tms.exports.kinds import export_pieces
    from smartmeter.tms.exports.selection import Selection
    from smartmeter.tms.store.places import BEGIN, MAX_SECOND

    named = named_esns(esns, list_file)
    from_s = utc_second(from_, "--from") if from_ else BEGIN
    to_s = utc_second(to, "--to") if to else MAX_SECOND
    chosen = Selection(named or None, from_s, to_s, place)
    with closing(Archive(Path(data))) as archive, WorkProgress() as progress:
        archive.refuse_as_output(out)
        pieces = export_pieces(archive, chosen, kind, format_)
        octets = 0
        try:
            with whole_file("--out", out) as file:
                for piece in pieces:
                    octets += file.write(piece)
                    progress.tell(f"{kind}: {octets:,} characters")
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            where = "standard output" if out == STANDARD_STREAM else f"--out {out}"
            raise StorageError(where, str(error.strerror), "free some space") from error
