"""The numbered conformance checks of the protocol digest, and what each rests on.

A test carries its number by ``@check("D07", TWO)``; ``docs/c1218_checks.rst`` is
generated from these decorators (``python -m tests.protocols.c1218.checks``), and
a test holds that it is current and that no number is missing.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., None])

TWO = "two sources"
ONE = "one source"
MEMORY = "from memory"
CONFLICT = "sources disagree"
CHOICE = "our choice"
#: What the decorators may name, for the generator that reads them without importing.
PROVENANCES = {
    "TWO": TWO,
    "ONE": ONE,
    "MEMORY": MEMORY,
    "CONFLICT": CONFLICT,
    "CHOICE": CHOICE,
}
NUMBERS = [f"D{n:02d}" for n in range(1, 107)] + [f"C{n:02d}" for n in range(1, 82)]

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TABLE = ROOT / "docs" / "c1218_checks.rst"


def check(numbers: str, provenance: str) -> Callable[[Test], Test]:
    """Give a test the numbers of the checks that it makes, and what they rest on."""
    assert provenance in PROVENANCES.values()

    def mark(test: Test) -> Test:
        for number in numbers.split():
            assert number in NUMBERS
            test = pytest.mark.check(number)(test)
        return test

    return mark


def found() -> Iterator[tuple[str, str, str, str]]:
    """Give (number, sentence, provenance, file) of every decorated test."""
    for path in sorted(HERE.parent.glob("c12[12][18]/test_*_checks*.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "check":
                    numbers = ast.literal_eval(mark.args[0])
                    sentence = node.name.removeprefix("test_").replace("_", " ")
                    provenance = PROVENANCES[ast.unparse(mark.args[1])]
                    for number in numbers.split():
                        yield number, sentence, provenance, path.name


def table() -> str:
    """Give the page."""
    rows = sorted(found(), key=lambda row: (NUMBERS.index(row[0]), row[1]))
    lines = [
        "Conformance checks of C12.18 and C12.21",
        "=======================================",
        "",
        "Generated from the tests by ``python -m tests.protocols.c1218.checks``; D is a device,",
        "C a client.  No licensed copy of the standard was open when they were written: the third",
        "column says what a check rests on.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - Check",
        "     - What holds",
        "     - Rests on",
        "     - Test",
    ]
    for number, sentence, provenance, name in rows:
        lines += [
            f"   * - {number}",
            f"     - {sentence}",
            f"     - {provenance}",
            f"     - ``{name}``",
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
