"""The 88 conformance checks of the protocol digest, and what each rests on.

A test carries its number in its name: ``test_check_07_elements_out_of_order_are_dropped``.
``docs/c1222_checks.rst`` is generated from the names (``python -m
tests.protocols.c1222.checks``), and a test holds that it is current.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

NUMBERS = range(1, 89)
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TABLE = ROOT / "docs" / "c1222_checks.rst"
#: Where numbered tests may stand: beside this file, and at what needs sockets or a relay.
FOLDERS = ("tests/protocols/c1222", "tests/smartmeter/comms", "tests/smartmeter/network")

TWO, ONE, MEMORY = "two sources or more", "one source", "from memory, or inferred"
RECOMPUTED = "recomputed from published octets"
DRAFT = "one source, the draft of January 2008"
RFC, LOCAL, CHOICE = (
    "RFC 6142",
    "one source, a deployed stack",
    "our choice where sources are silent",
)
PAPER = "a published analysis (IACR ePrint 2012/018)"
_RANGES = (
    (1, 20, TWO),
    (21, 51, TWO),
    (52, 57, DRAFT),
    (58, 73, ONE),
    (74, 83, RFC),
    (84, 88, LOCAL),
)
_SINGLE = (
    dict.fromkeys((13, 17, 18, 19, 21, 22, 23, 30, 69, 72), RECOMPUTED)
    | dict.fromkeys((9, 10, 12, 24, 25, 26, 28, 29, 32, 37, 43, 48), ONE)
    | dict.fromkeys((14, 35, 38, 45, 62, 65, 66, 67, 68, 73), MEMORY)
    | dict.fromkeys((16, 36, 41), CHOICE)
    | {31: PAPER, 33: PAPER, 34: "two stacks, no capture", 49: "sources disagree on its width"}
    | {50: "sources disagree on its width", 1: TWO}
)


def rests_on(number: int) -> str:
    """Give what a check rests on."""
    return _SINGLE.get(number) or next(
        text for first, last, text in _RANGES if first <= number <= last
    )


def found() -> Iterator[tuple[int, str, str]]:
    """Give (number, sentence, file) of every numbered test."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("test_*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    numbered = re.fullmatch(r"test_check_(\d\d)_(.*)", node.name)
                    if numbered:
                        yield int(numbered[1]), numbered[2].replace("_", " "), path.name


def table() -> str:
    """Give the page."""
    lines = [
        "Conformance checks of C12.22",
        "============================",
        "",
        "Generated from the tests by ``python -m tests.protocols.c1222.checks``.  No licensed copy",
        "of the standard was open when they were written: the third column says what a check",
        "rests on.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - Check",
        "     - What holds",
        "     - Rests on",
        "     - Test",
    ]
    for number, sentence, name in sorted(found()):
        lines += [
            f"   * - {number}",
            f"     - {sentence}",
            f"     - {rests_on(number)}",
            f"     - ``{name}``",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
