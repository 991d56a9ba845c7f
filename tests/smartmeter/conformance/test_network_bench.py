"""The bench on C12.22: our node passes, and who is no node, or goes, is told so."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocols.c1222.access import Rights
from protocols.c1222.ber import tlv
from protocols.c1222.builder import Envelope, build_apdu
from protocols.c1222.envelope import APDU_TAG, decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.node import NodeSettings
from protocols.c1222.security import EaxPrime, open_secured
from protocols.c1222.server import Refused
from protocols.psem.codes import ResponseCode
from smartmeter.base.errors import SmartMeterError
from smartmeter.cli.conformance import command
from smartmeter.conformance.bench import Permit
from smartmeter.conformance.network_checks import NETWORK_CHECKS
from smartmeter.conformance.verdicts import Unreachable, Verdict
from tests.protocols.c1222.conversation import KEY, KEY_ID, PASSWORD, Tables
from tests.protocols.transports.network_device import by_datagrams, device
from tests.smartmeter.conformance.memory_node import (
    DEMANDING,
    NOTHING,
    OPEN,
    Change,
    MemoryLine,
    found,
    results,
)


@pytest.mark.parametrize("settings", [DEMANDING, OPEN])
def test_our_node_passes_every_check(settings: NodeSettings) -> None:
    verdicts = found(MemoryLine(settings=settings))
    assert set(verdicts.values()) == {Verdict.PASSED}, verdicts


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("settings", [DEMANDING, OPEN])
@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize("password", [PASSWORD, None])
def test_our_node_is_blamed_for_nothing_with_less_known_and_over_datagrams(
    is_stream: bool, settings: NodeSettings, key: bytes | None, password: bytes | None
) -> None:
    verdicts = found(MemoryLine(settings=settings, is_stream=is_stream), key, password)
    assert set(verdicts.values()) <= {Verdict.PASSED, Verdict.NOT_APPLICABLE}, verdicts
    not_here = {check for check, one in verdicts.items() if one is Verdict.NOT_APPLICABLE}
    if key is not None:
        assert not_here == (set() if is_stream else {"C4", "C74", "C75", "C76", "C83"})
    elif settings is OPEN and is_stream:
        secured = {"C22", "C23", "C24", "C25", "C27", "C29", "C30", "C36", "C37", "C38", "C43"}
        assert not_here == secured | {"C41", "C76"}


def dropped_if_secured(octets: bytes) -> bytes:
    """Reach a node that says nothing to what it cannot open."""
    return b"\x60\0" if decode_apdu(octets).key_id is not None else octets


@pytest.mark.parametrize("asked", [bytes, dropped_if_secured])
def test_a_key_that_is_not_the_nodes_is_blamed_on_no_node(asked: Change) -> None:
    verdicts = found(MemoryLine(asked=asked), bytes(16))
    assert not [check for check, verdict in verdicts.items() if verdict.failed], verdicts
    assert verdicts["C37"] is verdicts["C22"] is Verdict.NOT_APPLICABLE


class Locked(Tables):
    """A device that tells nothing without its password."""

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        if rights != "master":
            raise Refused(ResponseCode.isc)
        return super().read(table, rights, now_us)


def test_a_node_whose_tables_take_a_password_is_not_blamed_for_it() -> None:
    verdicts = found(MemoryLine(tables=Locked()))
    assert not [check for check, verdict in verdicts.items() if verdict.failed], verdicts
    assert verdicts["C30"] is verdicts["C37"] is verdicts["C41"] is Verdict.NOT_APPLICABLE


class Noting(Tables):
    """A device that notes who would change something, and each password."""

    def __init__(self) -> None:
        super().__init__()
        self.images[5] = b"OWNER"
        self.changes: list[int] = []
        self.passwords: set[bytes] = set()

    def write(
        self, table: int, offset: int | None, data: bytes, rights: Rights, now_us: int
    ) -> None:
        self.changes.append(table)

    def leave(self, rights: Rights, procedure: int, now_us: int) -> None:
        self.changes.append(procedure)

    def of_password(
        self, user_id: int | None, user: bytes, password: bytes, rights: Rights
    ) -> Rights | None:
        self.passwords.add(password)
        return super().of_password(user_id, user, password, rights)


@pytest.mark.parametrize("settings", [DEMANDING, OPEN])
def test_no_check_writes_or_tries_another_password_or_leaves_a_session_open(
    settings: NodeSettings,
) -> None:
    tables = Noting()
    line = MemoryLine(settings=settings, tables=tables)
    assert found(line)["C41"] is Verdict.PASSED
    assert tables.changes == [] and tables.passwords == {PASSWORD}
    assert len(line.talk.server.node.sessions) == 0


def silent_in_clear(octets: bytes) -> bytes:
    try:
        is_clear = not decode_apdu(octets).user_information[0] & 0x0C
    except ApduRejected:
        return octets
    return NOTHING if is_clear else octets


def test_a_node_that_says_nothing_in_clear_is_asked_under_the_key() -> None:
    verdicts = found(MemoryLine(asked=silent_in_clear))
    assert set(verdicts.values()) == {Verdict.PASSED}, verdicts


class Late(MemoryLine):
    """A node whose way is long, so that what was asked again is answered again, behind it."""

    def receive(self, within_s: float) -> list[bytes] | None:
        fresh = super().receive(within_s)
        found = [*self._again, *(fresh or ())]
        self._again = fresh or []
        return found or fresh

    def close(self) -> None:
        super().close()
        self._again: list[bytes] = []


def test_a_datagram_that_is_answered_twice_is_blamed_on_nobody_and_on_a_stream_it_is() -> None:
    verdicts = found(Late(is_stream=False))
    assert not [check for check, verdict in verdicts.items() if verdict.failed], verdicts
    assert found(Late())["C45"].failed


def of_a_relay(octets: bytes, code: ResponseCode) -> bytes:
    """Answer in the node's place."""
    apdu = decode_apdu(octets)
    parts = apdu.calling_invocation_id, apdu.called, apdu.calling, apdu.called_invocation_id
    return build_apdu(Envelope(*parts), [bytes([code])])


@pytest.mark.parametrize(
    "asked, said, words",
    [
        (lambda octets: NOTHING, bytes, "no answer came"),
        (bytes, lambda octets: ASKED[-1], "comes back"),
        (bytes, lambda octets: of_a_relay(octets, ResponseCode.uat), "a relay answers uat"),
        (bytes, lambda octets: of_a_relay(octets, ResponseCode.nett), "a relay answers nett"),
    ],
)
def test_what_is_no_node_is_told_so_and_not_tested(asked: Change, said: Change, words: str) -> None:
    def noted(octets: bytes) -> bytes:
        ASKED.append(octets)
        return asked(octets)

    with pytest.raises(Unreachable, match=words):
        found(MemoryLine(asked=noted, said=said))


ASKED: list[bytes] = []


def test_a_node_that_goes_is_a_violation_of_that_check_and_the_others_are_not_run() -> None:
    told = results(MemoryLine(gone_after=5))
    verdicts = [one.verdict for one in told.values()]
    at = verdicts.index(Verdict.VIOLATION)
    assert set(verdicts[:at]) == {Verdict.PASSED} and at
    assert set(verdicts[at + 1 :]) == {Verdict.NOT_RUN}
    assert "Connection refused" in list(told.values())[at].text


def test_a_node_that_falls_silent_is_a_violation_whatever_the_check_rests_on() -> None:
    left = [10]

    def fewer(octets: bytes) -> bytes:
        left[0] -= 1
        return octets if left[0] > 0 else NOTHING

    doubtful = [one for one in NETWORK_CHECKS if one.name in ("C29", "C43", "C76")]
    told = results(MemoryLine(asked=fewer), checks=[*doubtful * 2])
    assert Verdict.DOUBTFUL not in {one.verdict for one in told.values()}
    (gone,) = [one for one in told.values() if one.verdict is Verdict.VIOLATION]
    assert "does not answer any more" in gone.text


def test_a_node_that_locks_itself_after_wrong_macs_is_blamed_for_nothing() -> None:
    opener, wrong = EaxPrime(KEY), [0]

    def counted(octets: bytes) -> bytes:
        apdu = decode_apdu(octets)
        if apdu.key_id is not None and apdu.iv is not None:
            try:
                open_secured(apdu, opener, apdu.key_id, apdu.iv)
            except ApduRejected:
                wrong[0] += 1
        return octets if wrong[0] < 3 else NOTHING

    attacks = [one for one in NETWORK_CHECKS if one.needs is Permit.ATTACKS]
    told = results(MemoryLine(asked=counted), checks=attacks)
    assert not [one for one in told.values() if one.verdict.failed], told
    assert told["C49"].verdict is Verdict.NOT_RUN and "locks itself" in told["C49"].text


def test_a_node_that_is_missed_once_after_a_failure_is_looked_for_again() -> None:
    asked = iter(range(1, 1000))

    def lossy(octets: bytes) -> bytes:
        return NOTHING if next(asked) in (2, 3) else octets

    told = results(MemoryLine(asked=lossy, settings=OPEN), key=None, checks=NETWORK_CHECKS[:4])
    verdicts = [one.verdict for one in told.values()]
    assert verdicts == [Verdict.VIOLATION, *[Verdict.PASSED] * 3]


def in_segments(octets: bytes) -> bytes:
    """Answer with a piece that has no octets."""
    elements = decode_apdu(octets).elements
    head = elements[0xA2] + b"\xa3\x03\x02\x01\x7f" + elements[0xA6] + elements[0xA8]
    return tlv(APDU_TAG, head + bytes.fromhex("be07280502010081 00"))


def test_an_answer_in_segments_is_not_judged() -> None:
    told = results(MemoryLine(said=in_segments))["C35"]
    assert told.verdict is Verdict.NOT_APPLICABLE and "segments" in told.text, told


def test_the_verb_tests_a_node_and_writes_its_report(tmp_path: Path) -> None:
    file, secrets = tmp_path / "run.json", {"SMARTMETER_C1222_KEYS": f"{KEY_ID}={KEY.hex()}"}
    names = ("C35", "C74", "C75", "C83", "C30", "C37")
    checks = [part for name in names for part in ("--check", name)]

    def verb(*arguments: str) -> Result:
        return CliRunner().invoke(command, arguments, env=secrets, standalone_mode=False)

    with device(NodeSettings()) as (name, served):
        done = verb(by_datagrams(name, served), *checks)
        assert done.return_value == 0 and "3 passed, 3 not applicable" in done.output, done.output
        done = verb(name, *checks, "--json", str(file))
        assert done.return_value == 0 and "6 passed" in done.output, done.output
        waivers = tmp_path / "waivers.toml"
        waivers.write_text("[[waiver]]\ncheck = 'C35'\nreason = 'known'")
        done = verb(name, "--check", "C35", "--waivers", str(waivers))
        assert done.return_value == 0 and "1 passed" in done.output, done.exception
        refused = verb(name, "--allow-procedures")
        assert "for a line" in str(refused.exception)
        for one in NETWORK_CHECKS:
            if one.needs is not None:
                refused = verb(name, "--check", one.name)
                assert f"needs --allow-{one.needs.value}" in str(refused.exception)
        secrets["SMARTMETER_C1222_KEYS"] = f"{KEY_ID}={bytes(16).hex()}"
        done = verb(name, "--check", "C30", "-v")
        assert done.return_value == 0 and "another key" in done.output
    report = json.loads(file.read_text())
    assert report["device"] == {"title": ".7.42"} and report["run"]["port"] == name
    assert report["run"].keys() == {"port", "at", "smartmeter"}
    wanted = [one.name for one in NETWORK_CHECKS if one.name in names]
    assert [one["check"] for one in report["results"]] == wanted
    gone = verb(name, "--check", "C35").exception
    assert isinstance(gone, SmartMeterError) and "smartmeter doctor" in str(gone)
