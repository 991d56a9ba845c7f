"""``smartmeter tms backup``: a copy of a TMS's database, while it runs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from smartmeter.base.errors import StorageError
from smartmeter.cli.file_name import file_option, folder_option
from smartmeter.cli.whole_file import whole_path


@click.command(name="backup")
@folder_option("--data", required=True, help="Folder of a TMS, which may run.")
@file_option("--out", required=True, help="The copy, one file.")
def command(data: str, out: str) -> None:
    """Copy the database of a TMS while it runs.

    It is as of one moment, and FILE takes its name when it is whole.  It holds the keys of
    all meters: keep it as safe as the database.
    """
    from smartmeter.tms.exports.archive import Archive

    with closing(Archive(Path(data))) as archive:
        archive.refuse_as_output(out)
        with whole_path("--out", out) as path:
            try:
                archive.copy_to(path)
            except StorageError as error:
                place = f"--out {out}" if error.place == str(path) else error.place
                raise type(error)(place, error.fault, error.remedy) from error
    click.echo(f"wrote {out}, {Path(out).stat().st_size:,} octets")
