"""Names of files and folders as options take them; an empty one is refused.

It is what a script gives for a variable that it has not set, and would be taken
for the option left out, or for the folder that one is in.  ``-`` is standard input
or output where an option says so, and elsewhere refused: nobody means a file called so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
#: What Linux, macOS and Windows take between two slashes.
MAX_PART = 255
#: Standard input, or standard output.
STANDARD_STREAM = "-"


class FileName(click.Path):
    """A name neither empty nor too long, and whatever else ``click.Path`` is told to look at."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take a name."""
        if value == "":
            self.fail("is empty; give a name", param, ctx)
        if value == STANDARD_STREAM and not self.allow_dash:
            self.fail("- is no name here; a file that is called so is ./-", param, ctx)
        if any(len(os.fsencode(part)) > MAX_PART for part in os.fspath(value).split(os.sep)):
            self.fail(f"holds a name of more than {MAX_PART} octets", param, ctx)
        return super().convert(value, param, ctx)


NAME = FileName()
#: The same, and ``-`` for standard output.
NAME_OR_OUTPUT = FileName(allow_dash=True)
FILE = FileName(dir_okay=False)
FILE_THERE = FileName(exists=True, dir_okay=False)
#: The same, and ``-`` for standard input; ``image_file.given_octets`` reads either.
FILE_OR_INPUT = FileName(exists=True, dir_okay=False, allow_dash=True)


def file_option(*names: str, **more: Any) -> Callable[[_Verb], _Verb]:
    """Give a verb an option that names a file."""
    return click.option(*names, metavar="FILE", **{"type": NAME, **more})


def folder_option(*names: str, **more: Any) -> Callable[[_Verb], _Verb]:
    """Give a verb an option that names a folder."""
    return click.option(*names, metavar="DIR", type=NAME, **more)
