"""Reports are stored in groups: each is acknowledged or refused for itself, and once."""

from __future__ import annotations

import pytest

from ansi_tables.ssi_tables import SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import NOTIFICATION
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullWrite
from smartmeter.base.errors import StorageError
from smartmeter.tms.model import Kind
from tests.smartmeter.tms.reporting import METERS, UTC_S, Office, report

#: Its second interval has no number that the store could hold.
LAST_SEQUENCE = 2**63 - 1


@pytest.fixture
def office() -> Office:
    return Office()


def test_reports_that_come_together_are_stored_in_one_change(office: Office) -> None:
    for meter in range(METERS):
        office.send(meter, 1, 0)
    [first] = office.later
    first()
    assert office.store.number("SELECT count(*) FROM reports") == METERS
    assert office.answers() == [(meter, [0, 0]) for meter in range(METERS)]
    assert office.store.number("SELECT count(*) FROM intervals") == 2 * METERS


def test_a_report_that_cannot_be_stored_is_refused_alone(office: Office) -> None:
    office.send(0, 1, 0)
    office.send(1, 1, LAST_SEQUENCE)
    office.send(2, 1, 0)
    refused = [ResponseCode.err, ResponseCode.err]
    assert office.answers() == [(0, [0, 0]), (1, refused), (2, [0, 0])]
    rows = office.store.read("SELECT esn, count(*) AS count FROM intervals GROUP BY esn")
    assert {row["esn"]: row["count"] for row in rows} == {
        office.factories[0].esn: 2,
        office.factories[2].esn: 2,
    }


def test_a_disk_that_is_full_when_work_is_to_begin_does_not_end_the_storing_of_reports(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(change: object) -> None:
        raise StorageError("tms.sqlite3", "database or disk is full", "free some space")

    office.send(0, 1, 0)
    with monkeypatch.context() as patched:
        patched.setattr(office.store, "write_now", full)  # it is to be provisioned
        with pytest.raises(StorageError):
            office.settle()
    office.send(1, 1, 0)
    assert office.answers() == [(0, [0, 0]), (1, [0, 0])]


def test_a_report_dated_years_ahead_excuses_no_silence_to_come(office: Office) -> None:
    head_end, esn = office.head_end, office.factories[0].esn
    years_ahead = UTC_S + 2 * 365 * 86_400
    version = head_end.template.version
    office.send(0, 1, 0, DUE_TIME=years_ahead, TIME=years_ahead, CONFIG_VERSION=version)
    assert office.answers() == [(0, [0, 0])]
    head_end.expire(2 * 3600 * 1_000_000)
    assert head_end.silence.silent(esn)


def test_a_number_that_comes_twice_in_one_group_is_stored_once(office: Office) -> None:
    office.send(0, 1, 0)
    office.send(0, 1, 100)
    office.send(0, 2, 2)
    assert office.answers() == [(0, [0, 0])] * 3
    rows = office.store.read("SELECT sequence FROM intervals ORDER BY sequence")
    assert [row["sequence"] for row in rows] == [0, 1, 2, 3]
    totals = {row["name"]: row["count"] for row in office.store.read("SELECT * FROM totals")}
    assert (totals["reports"], totals["intervals"]) == (2, 4)
    assert office.head_end.figures.reports == 2
    assert office.head_end.figures.repeated == 1


def test_a_number_that_was_stored_before_stores_nothing_again(office: Office) -> None:
    office.send(0, 1, 0)
    office.answers()
    office.send(0, 1, 100)
    office.send(1, 1, 0)
    assert office.answers() == [(0, [0, 0]), (1, [0, 0])]
    assert office.store.number("SELECT count(*) FROM intervals") == 4
    assert office.store.number("SELECT count(*) FROM reports") == 2


def test_a_report_in_anothers_name_is_refused_and_stored_for_nobody(office: Office) -> None:
    services = report(office.factories[1].esn, 1, 0)
    office.nodes[0].request(services, ApTitle.parse(".1"), 0, 0, key_id=0, qualifier=NOTIFICATION)
    [(path, octets)] = office.nodes[0].outgoing()
    office.head_end.receive(path, octets, 0)
    assert office.answers() == [(0, [ResponseCode.isc, ResponseCode.isc])]
    assert office.store.number("SELECT count(*) FROM reports") == 0
    assert office.head_end.figures.refused == 1


def test_a_report_under_the_root_key_is_refused_where_there_is_another(office: Office) -> None:
    esn, meters = office.factories[0].esn, office.head_end.meters
    meters.offer(esn, 1, bytes(16))
    office.send(0, 1, 0)
    assert office.answers() == [(0, [0, 0])], "it may not have it yet"
    meters.use(esn, 1)
    office.send(0, 2, 2)
    assert office.answers() == [(0, [ResponseCode.sme, ResponseCode.sme])]


def test_what_a_report_carried_is_named_by_its_table(office: Office) -> None:
    """A standard table and a table of the module's may have the same number above their base."""
    esn = office.factories[0].esn
    number = int(SsiTable.LOAD_PROFILE_PART)
    title = ApTitle.parse(".1")
    others = (encode_request(FullWrite(table, b"\x01")) for table in (number, 3))
    for nbr, service in enumerate((None, *others), 1):
        services = report(esn, nbr, 2 * nbr)
        office.nodes[0].request(
            [services[0], service or services[1]], title, 0, 0, key_id=0, qualifier=NOTIFICATION
        )
        [(path, octets)] = office.nodes[0].outgoing()
        office.head_end.receive(path, octets, 0)
        office.answers()
    rows = office.store.read("SELECT contents FROM reports ORDER BY number")
    own = '["LOAD_PROFILE_PART"]'
    assert [row["contents"] for row in rows] == [own, f'["ST-{number}"]', '["ST-3"]']
    readings = office.store.read("SELECT table_nbr FROM readings")
    assert [row["table_nbr"] for row in readings] == [number], "of registers only"


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_meter_context_is_asked_for_when_it_is_not_stored(
    office: Office, is_stored: bool
) -> None:
    esn = office.factories[0].esn
    if is_stored:
        row = "INSERT INTO contexts VALUES (?, 1, 0, x'00')"
        office.store.write_now(lambda change: change.execute(row, [esn]))
    office.send(0, 1, 0, CONFIG_VERSION=office.head_end.template.version)
    office.settle()
    assert office.head_end.jobs.has(esn, Kind.CONTEXT) is not is_stored


def test_when_no_change_has_a_place_to_wait_reports_are_refused_and_stored_when_there_is(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: object) -> None:
        raise StorageError("tms.sqlite3", "changes wait for it", "is its medium sound?")

    refused = [ResponseCode.err, ResponseCode.err]
    office.send(0, 1, 0)
    with monkeypatch.context() as patched:
        patched.setattr(office.store, "write", is_full)
        with pytest.raises(StorageError):
            office.settle()
    assert office.answers() == [(0, refused)]
    office.send(0, 1, 0)
    assert office.answers() == [(0, [0, 0])]


def test_no_report_is_left_without_an_answer_where_those_of_a_bad_group_find_no_place(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: object) -> None:
        raise StorageError("tms.sqlite3", "changes wait for it", "is its medium sound?")

    office.send(0, 1, 0)
    office.send(1, 1, LAST_SEQUENCE)
    office.send(2, 1, 0)
    office.later.pop(0)()  # they are written together, which fails
    with monkeypatch.context() as patched:
        patched.setattr(office.store, "write", is_full)
        with pytest.raises(StorageError):
            office.settle()
    refused = [ResponseCode.err, ResponseCode.err]
    assert office.answers() == [(0, refused), (1, refused), (2, refused)]
    office.send(2, 1, 0)
    assert office.answers() == [(2, [0, 0])]
