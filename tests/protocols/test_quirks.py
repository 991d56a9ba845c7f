"""Every quirk has a number, words and a remedy; and the page of them is current.

``python -m tests.protocols.test_quirks`` writes the page.
"""

from pathlib import Path

import pytest

from protocols.quirks import Quirk, Quirks

PAGE = Path(__file__).parents[2] / "docs" / "c1218_quirks.rst"


def page() -> str:
    """Give the page."""
    lines = [
        "What real meters and lines do differently",
        "=========================================",
        "",
        "The C12.18 client adapts to each of these when it meets it, and counts it;",
        "``smartmeter doctor PORT`` names what was met.  ``--assume NAME`` takes one for granted,",
        "``--strict NAME`` does not tolerate it.  The numbers are those of our digest of public",
        "sources; tests make every one of them, singly and in pairs.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - Number",
        "     - Name",
        "     - What is seen",
        "     - What is done",
    ]
    for quirk in Quirk:
        lines += [
            f"   * - {quirk.number}",
            f"     - ``{quirk.label}``",
            f"     - {quirk.value.seen}",
            f"     - {quirk.value.remedy}",
        ]
    return "\n".join(lines) + "\n"


def test_the_page_of_quirks_is_current() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.protocols.test_quirks"


def test_numbers_and_names_are_single() -> None:
    assert len({quirk.number for quirk in Quirk}) == len({quirk.label for quirk in Quirk})
    assert len({quirk.label for quirk in Quirk}) == len(Quirk)


@pytest.mark.parametrize("quirk", list(Quirk), ids=lambda quirk: quirk.label)
def test_a_quirk_is_on_when_assumed_or_met_and_off_when_strict(quirk: Quirk) -> None:
    plain, assumed, strict = (
        Quirks(),
        Quirks(assume=frozenset({quirk})),
        Quirks(strict=frozenset({quirk})),
    )
    assert not plain.on(quirk) and plain.tolerates(quirk) and assumed.on(quirk)
    for quirks in (plain, strict):
        quirks.note(quirk)
    assert plain.on(quirk) and not strict.on(quirk) and not strict.tolerates(quirk)


def test_a_quirk_that_was_learnt_can_be_unlearnt_and_one_that_is_assumed_stays() -> None:
    quirk = Quirk.ECHO
    learnt, assumed = Quirks(), Quirks(frozenset({quirk}))
    learnt.forget(quirk)
    for quirks in (learnt, assumed):
        quirks.note(quirk)
        quirks.forget(quirk)
    assert not learnt.on(quirk) and not learnt.met
    assert assumed.on(quirk) and assumed.met[quirk] == 1


if __name__ == "__main__":
    PAGE.write_text(page())
