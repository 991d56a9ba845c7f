"""All 88 checks have a test that carries the number, and the table in ``docs`` is current."""

from tests.protocols.c1222.checks import NUMBERS, TABLE, found, table


def test_every_check_has_a_test_that_carries_its_number() -> None:
    assert {number for number, _, _ in found()} == set(NUMBERS)


def test_the_table_in_docs_is_what_the_tests_say() -> None:
    assert TABLE.read_text() == table(), "run: python -m tests.protocols.c1222.checks"
