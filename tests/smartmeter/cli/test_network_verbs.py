"""``clone`` and ``doctor`` on ``c1222://HOST[:PORT]/APTITLE``: a device on a real socket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import cast

import pytest

from ansi_tables import Snapshot
from protocols.c1222.access import Rights
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.node import NodeSettings
from protocols.c1222.server import Refused
from protocols.psem.codes import ResponseCode
from protocols.transports import network_meter
from smartmeter.base.finding import Finding
from smartmeter.cli.network_diagnosis import talk_over_network
from smartmeter.comms.paths import Path
from smartmeter.meter.cloning import CloneSettings
from smartmeter.meter.image import MeterImage
from tests.protocols.c1222.conversation import KEY, KEY_ID, PASSWORD, Tables, items
from tests.protocols.transports.network_device import InSession, answering_once, device
from tests.smartmeter.cli.served import line_to, smartmeter
from tests.smartmeter.comms.served import Served
from tests.smartmeter.meter.sessions import clone, original, twin

KEYS = {"SMARTMETER_C1222_KEYS": f"{KEY_ID}={KEY.hex()}"}


class Silent(Tables):
    """A device that gives no answer to who reads ST-03, nor to what comes after ``most`` reads."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.most, self.reads = most, 0
        self.is_silent = False

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        self.reads += 1
        self.is_silent = table == 3 or self.reads > self.most
        return super().read(table, rights, now_us)


def fall_silent(served: Served, tables: Silent, hangs_up: bool) -> None:
    """Have a device send nothing while it is silent, or end the connection in place of it."""

    def received() -> None:
        for path, octets in served.talk.server.outgoing():
            if not tables.is_silent:
                cast(Path, path).send(octets)
            elif hangs_up:
                cast(Path, path).close()
        tables.is_silent = tables.reads > tables.most

    served.received = received  # type: ignore[method-assign]


@contextmanager
def a_meter(tables: Tables | None = None, hangs_up: bool = False) -> Iterator[str]:
    """Serve the tables of a whole meter on the network; gives its name."""
    meter = original()
    listed = Snapshot({0: meter.table(0, 0)})[0].STD_TBLS_USED
    with device(NodeSettings(), tables) as (name, served):
        tables = served.talk.tables
        if isinstance(tables, Silent):
            fall_silent(served, tables, hangs_up)
        tables.images = {n: meter.table(n, 0) for n in sorted(listed) if n not in (7, 42)}
        yield name


def test_a_meter_is_cloned_over_the_network_and_its_twin_has_the_same_tables(
    tmp_path: FilePath,
) -> None:
    file = tmp_path / "meter.json"
    with a_meter() as name:
        done = smartmeter("clone", name, str(file), SMARTMETER_PASSWORD="wrong", **KEYS)
        assert done.returncode == 0 and "refused the password" in done.stderr, done.stderr
        image = json.loads(file.read_text())
        assert bytes.fromhex(image["tables"]["23"]) == original().table(23, 0)
        assert image["refused"] == {"7": "iar", "42": "isc"} and image["timings"]["answer_ms"] == 0
        again = clone(twin(MeterImage.from_json(file.read_text())), CloneSettings())
        assert again.tables[23] == original().table(23, 0) and not again.missing
    done = smartmeter("clone", name, str(tmp_path / "none"), **KEYS)
    assert done.returncode == 1 and "again" not in done.stderr, "there is nothing to go on with"
    assert list(tmp_path.iterdir()) == [file]


def test_the_logon_at_a_meter_that_serves_nothing_outside_sessions_bears_the_user_name() -> None:
    class Known(InSession):
        """A device that serves OPERATOR alone."""

        def read(self, table: int, rights: Rights, now_us: int) -> bytes:
            if any(one.user.rstrip() != b"OPERATOR" for one in self.sessions._sessions.values()):
                raise Refused(ResponseCode.isc)
            return super().read(table, rights, now_us)

    tables = Known()
    tables.images = {number: original().table(number, 0) for number in (0, 1)}
    with device(NodeSettings(), tables) as (name, served):
        tables.sessions = served.talk.server.node.sessions
        done = smartmeter("read", name, "1", "--user", "OPERATOR", "--user-id", "2", **KEYS)
        assert done.returncode == 0 and "MANUFACTURER" in done.stdout, done.stderr
        done = smartmeter("read", name, "1", "--user", "GUEST", **KEYS)
        assert done.returncode == 1 and "isc" in done.stdout, done.stderr


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_table_that_is_not_answered_is_told_and_the_others_are_read_and_cloned(
    hangs_up: bool, tmp_path: FilePath
) -> None:
    with a_meter(Silent(), hangs_up) as name:
        more = ("--answer-timeout", "2")
        done = smartmeter("read", name, "1", "3", "5", "--json", *more, **KEYS)
        assert done.returncode == 1, done.stderr
        shown = json.loads(done.stdout)
        assert "fields" in shown["1"] and "fields" in shown["5"], shown
        assert shown["3"]["error"]["code"] == "Unanswered", shown
        assert "the meter answers others" in shown["3"]["error"]["text"]
        file = tmp_path / "meter.json"
        done = smartmeter("clone", name, str(file), *more, **KEYS)
        assert done.returncode == 1 and "ST-03 left out" in done.stderr, done.stderr
        part = json.loads(file.with_name("meter.json.part").read_text())
        assert part["missing"] == [3] and "line lost" not in done.stderr


def test_a_meter_that_answers_nothing_any_more_ends_a_read() -> None:
    with a_meter(Silent(2)) as name:
        done = smartmeter("read", name, "1", "5", "6", "--answer-timeout", "1", **KEYS)
        assert done.returncode == 1 and not done.stdout, done.stdout
        assert "answers others" not in done.stderr and done.stderr.count("\n") == 1, done.stderr


def found(name: str) -> dict[str, Finding]:
    return {finding.subject: finding for finding in talk_over_network(line_to(name))}


def test_the_doctor_tells_what_is_wrong_with_title_key_password_and_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with a_meter() as name:
        assert "sme" in found(name)["meter"].text
        monkeypatch.setenv("SMARTMETER_C1222_KEYS", f"{KEY_ID}={bytes(16).hex()}")
        assert "15 minutes" in found(name)["meter"].remedy
        monkeypatch.setenv("SMARTMETER_C1222_KEYS", f"{KEY_ID}={KEY.hex()}")
        monkeypatch.setenv("SMARTMETER_PASSWORD", "wrong")
        seen = found(name)
        assert seen["password"].wrong and seen["ST-01"].text == "32 octets read"
        assert not seen["key"].wrong and "security 2.16.124" in seen["meter"].text
        monkeypatch.setenv("SMARTMETER_PASSWORD", PASSWORD.decode())
        # The meter's calendar stands at its image; a real one is within the window.
        assert found(name)["meter's clock"].wrong and not found(name)["latency"].wrong
        monkeypatch.setattr(network_meter, "ANSWER_TIMEOUT_S", 0.2)
        assert "title" in found(f"{name}3")["meter"].remedy
    assert found(name)["connection"].wrong
    assert "brackets" in found("c1222://::1/.7")["c1222://::1/.7"].remedy


def a_meter_with_one_wrong_checksum(asked: bytes) -> bytes:
    """Answer a Full Read in clear; the table octets of ST-03 have a wrong checksum."""
    apdu = decode_apdu(asked)
    (service,) = items(asked)
    table = int.from_bytes(service[1:3], "big")
    octets = original().table(table, 0)
    total = -sum(octets) + (table == 3) & 0xFF
    answer = bytes([0, *len(octets).to_bytes(2, "big"), *octets, total])
    back = Envelope(7, apdu.calling, ApTitle.parse(".7.42"), apdu.calling_invocation_id)
    return build_apdu(back, [answer])


def test_an_answer_that_makes_no_sense_is_told_and_the_other_tables_are_read() -> None:
    with answering_once(a_meter_with_one_wrong_checksum) as name:
        done = smartmeter("read", name, "1", "3", "5", "--json", SMARTMETER_C1222_KEYS="")
        assert done.returncode == 1, done.stderr
        shown = json.loads(done.stdout)
        assert list(shown) == ["1", "3", "5"] and "fields" in shown["1"] and "fields" in shown["5"]
        assert "table 3: what the meter answered is no table" in shown["3"]["error"]["text"]
        done = smartmeter("read", name, SMARTMETER_C1222_KEYS="")
        assert "serial" in done.stdout and "wrong      " in done.stdout, done.stderr
        done = smartmeter("shell", name, said="read 3 5\n", SMARTMETER_C1222_KEYS="")
        assert done.returncode == 1 and "IDENTIFICATION" in done.stdout, done.stderr
