"""Which meter it is: maker and serial number of ST-01, and nothing that changes on one meter."""

from typing import Any

import pytest

from ansi_tables.meaning.identity import Identity, identity_of, mark_of
from tests.ansi_tables.meaning.device import device


def told(*, id_form: int = 0, **st_01: Any) -> Identity | None:
    made = device({1: {"MANUFACTURER": "SMOP", **st_01}}, id_form=id_form)
    return identity_of(made.images[1], made.context)


def test_a_meter_is_its_maker_and_its_serial_number_whatever_its_firmware() -> None:
    old, new = told(MFG_SERIAL_NUMBER="SM7", FW_VERSION_NUMBER=1), told(MFG_SERIAL_NUMBER="SM7")
    assert old is not None and old == new and old.serial == "SM7"
    assert old.mark == (b"SMOP" + b"SM7".ljust(16)).hex() and old.places == ((0, 4), (16, 16))
    assert old != told(MFG_SERIAL_NUMBER="SM7", MANUFACTURER="ELSE")
    assert old != told(MFG_SERIAL_NUMBER="SM8")


def test_a_serial_number_may_be_bcd() -> None:
    bcd = told(id_form=1, MFG_SERIAL_NUMBER="0000000000000042")
    assert bcd is not None and (bcd.serial, bcd.places[1]) == ("0000000000000042", (16, 8))


@pytest.mark.parametrize("serial", ["", "\0" * 16, "0" * 16, "\udcff" * 16])
def test_a_serial_number_that_was_never_written_tells_nobody(serial: str) -> None:
    assert told(MFG_SERIAL_NUMBER=serial) is None


def test_an_identification_that_ends_early_tells_nobody() -> None:
    made = device({1: {"MFG_SERIAL_NUMBER": "SM7"}})
    assert identity_of(made.images[1][:20], made.context) is None
    assert mark_of(b"", ((0, 4), (16, 16))) == ""
