"""The bench on C12.22: our node passes, and nodes that are wrong are caught by the right check."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocols.c1222.access import Rights
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.errors import ApduRejected
from protocols.c1222.node import NodeSettings
from protocols.c1222.security import EaxPrime
from protocols.c1222.server import Refused
from protocols.c1222.stream import ApduStream
from protocols.psem.codes import ResponseCode
from smartmeter.base.errors import SmartMeterError
from smartmeter.cli.conformance import command
from smartmeter.conformance.network_bench import NetworkBench, run_network
from smartmeter.conformance.network_checks import NETWORK_CHECKS
from smartmeter.conformance.verdicts import Verdict
from tests.protocols.c1222.conversation import (
    KEY,
    KEY_ID,
    METER,
    PASSWORD,
    VECTOR_UTC_S,
    Tables,
    Talk,
)
from tests.protocols.transports.test_network_meter import by_datagrams, device

Change = Callable[[bytes], bytes]


class MemoryLine:
    """A node in memory; ``asked`` and ``said`` change what passes, to make it wrong."""

    is_stream = True

    def __init__(
        self, asked: Change, said: Change, closes: bool, anew: bool, tables: Tables | None
    ) -> None:
        self._asked, self._said, self._closes, self._anew = asked, said, closes, anew
        self._talk = Talk(NodeSettings(), tables=tables)
        self.close()

    def close(self) -> None:
        self._stream, self._gone = ApduStream(), False
        self._found: list[bytes] = []

    def send(self, octets: bytes) -> None:
        if self._gone:
            self.close()
        try:
            for apdu in self._stream.feed(octets):
                if self._anew:
                    self._talk = Talk(NodeSettings())
                self._found += map(self._said, self._talk.offer(self._asked(apdu)))
        except ApduRejected:
            self._gone = self._closes

    def receive(self, within_s: float) -> list[bytes] | None:
        found, self._found = self._found, []
        return found or (None if self._gone else [])


def found(
    asked: Change = bytes,
    said: Change = bytes,
    closes: bool = True,
    anew: bool = False,
    key: bytes = KEY,
    tables: Tables | None = None,
) -> dict[str, Verdict]:
    line, keys = MemoryLine(asked, said, closes, anew, tables), {KEY_ID: EaxPrime(key)}
    bench = NetworkBench(line, METER, lambda: 0, lambda: VECTOR_UTC_S, 1, keys, PASSWORD, 2)
    results = run_network(bench, NETWORK_CHECKS, {}, lambda result: None)
    return {result.check: result.verdict for result in results}


def test_our_node_passes_every_check() -> None:
    verdicts = found()
    # A node that demands security answers Identify in clear with sme.
    assert verdicts.pop("C45") is Verdict.NOT_APPLICABLE
    assert set(verdicts.values()) == {Verdict.PASSED}, verdicts


def always(octets: bytes) -> bytes:
    """Ask in clear for an answer, whatever response control says."""
    return octets.replace(b"\x81\x03\x82", b"\x81\x03\x80")


def other_id(octets: bytes) -> bytes:
    """Answer another request: the last octet of A4 is changed."""
    at = octets.index(b"\xa4") + 1
    at += octets[at]
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


def other_mac(octets: bytes) -> bytes:
    return octets[:-1] + bytes([octets[-1] ^ 1])


@pytest.mark.parametrize(
    "check, wrong",
    [
        ("C46", {"asked": always}),
        ("C83", {"closes": False}),
        ("C4", {"closes": False}),
        ("C37", {"anew": True}),
        ("C35", {"said": other_id}),
        ("C75", {"said": other_id}),
        ("C30", {"said": other_mac}),
    ],
)
def test_a_node_that_is_wrong_is_caught_by_the_check(check: str, wrong: dict[str, object]) -> None:
    assert found(**wrong)[check].failed  # type: ignore[arg-type]


def dropped_if_secured(octets: bytes) -> bytes:
    """Reach a node that says nothing to what it cannot open."""
    return b"\x60\0" if decode_apdu(octets).key_id is not None else octets


@pytest.mark.parametrize("asked", [bytes, dropped_if_secured])
def test_a_key_that_is_not_the_nodes_is_blamed_on_no_node(asked: Change) -> None:
    verdicts = found(asked=asked, key=bytes(16))
    assert not [check for check, verdict in verdicts.items() if verdict.failed], verdicts
    assert verdicts["C37"] is verdicts["C22"] is Verdict.NOT_APPLICABLE


class Locked(Tables):
    """A device that tells nothing without its password."""

    def read(self, table: int, rights: Rights, now_us: int) -> bytes:
        if rights != "master":
            raise Refused(ResponseCode.isc)
        return super().read(table, rights, now_us)


def test_a_node_whose_tables_take_a_password_is_not_blamed_for_it() -> None:
    verdicts = found(tables=Locked())
    assert not [check for check, verdict in verdicts.items() if verdict.failed], verdicts
    assert verdicts["C30"] is verdicts["C37"] is Verdict.NOT_APPLICABLE


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
        refused = verb(name, "--allow-writes")
        assert "for a line" in str(refused.exception)
        attack = next(one.name for one in NETWORK_CHECKS if one.attack)
        refused = verb(name, "--check", attack)
        assert "needs --allow-attacks" in str(refused.exception)
        secrets["SMARTMETER_C1222_KEYS"] = f"{KEY_ID}={bytes(16).hex()}"
        done = verb(name, "--check", "C30", "-v")
        assert done.return_value == 0 and "another key" in done.output
    report = json.loads(file.read_text())
    wanted = [one.name for one in NETWORK_CHECKS if one.name in names]
    assert [one["check"] for one in report["results"]] == wanted
    gone = verb(name, "--check", "C35").exception
    assert isinstance(gone, SmartMeterError) and "smartmeter doctor" in str(gone)
