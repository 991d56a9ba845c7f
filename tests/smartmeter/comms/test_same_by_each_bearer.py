"""Whatever carries it, the same arrives: each bearer between processes, against the meter's own."""

import json
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from smartmeter.cli.tms_client import PASSWORD_VARIABLE
from smartmeter.ssi.factory import relative_title
from tests.ports import free_port
from tests.smartmeter.broker import NEEDS_MOSQUITTO, Broker
from tests.smartmeter.cli.served import running
from tests.smartmeter.comms.authority import make_authority
from tests.smartmeter.comms.far_ends import HEAD_END_NUMBER, Modems
from tests.smartmeter.processes import meters_own
from tests.waiting import wait_until

KEY = "00112233445566778899aabbccddeeff"
KINDS = ("tcp", "tls", "udp", "listen", "mqtt", "sms", "modem")
ESNS = {kind: f"SM{number:06}" for number, kind in enumerate(KINDS, 1)}
#: Intervals of each meter that are compared at least.
ENOUGH = 8
SETTINGS = """
[gateway]
data = "{folder}/{esn}"
[module]
esn = "{esn}"
key_file = "{folder}/key"
state = "{folder}/{esn}.nvram"
[meter]
port = "{meter}"
password_file = "{folder}/password"
[[tms]]
address = "{address}"
{more}
"""


def stored(database: Path, esn: str) -> dict[int, list[int]]:
    sql = "SELECT sequence, raw FROM intervals WHERE esn=?"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return {number: json.loads(raw) for number, raw in connection.execute(sql, (esn,))}


@pytest.mark.night
@NEEDS_MOSQUITTO
def test_the_same_arrives_by_each_bearer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    clock = ("--clock", f"{int(time.time())},600")
    for name, text in (("key", KEY), ("password", "master")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    rows = (f"{esn},{relative_title(esn)},{KEY},SM-1\n" for esn in ESNS.values())
    (tmp_path / "shipment.csv").write_text("esn,title,key,model\n" + "".join(rows))
    files, broker, messages, calls = make_authority(tmp_path, "own"), Broker(), Modems(), Modems()
    calls.of_node.numbers[HEAD_END_NUMBER] = calls.dial
    called, mqtt = f"127.0.0.1:{free_port()}", f"mqtt:127.0.0.1:{broker.port}"
    with ExitStack() as stack:
        options = ("--listen", "127.0.0.1:0", "--web", "off", *clock, "--mqtt", mqtt)
        options += ("--sms", messages.of_head_end.name, "--modem", calls.of_head_end.name)
        options += ("--call", f"tcp:{called}", "--shipment", str(tmp_path / "shipment.csv"))
        tms, _ = stack.enter_context(
            running("tms", "run", "--data", str(tmp_path / "tms"), *options)
        )
        tls = ("--tls-ca", str(files.ca), "--tls-key", str(files.key))
        tls += ("--tls-certificate", str(files.certificate))
        relay, _ = stack.enter_context(
            running("relay", "run", "--listen", "127.0.0.1:0", "--upstream", tms["ready"], *tls)
        )
        place, secured = (one["ready"].partition(":")[2] for one in (tms, relay))
        names = f'tls_ca = "{files.ca}"\ntls_certificate = "{files.certificate}"\n'
        ways = {
            "tcp": (f"tcp:{place}", ""),
            "tls": (f"tls:{secured}", f'{names}tls_key = "{files.key}"'),
            "udp": (f"udp:{place}", ""),
            "listen": (f"listen:{called}", ""),
            "mqtt": (mqtt, ""),
            "sms": (f"sms:{HEAD_END_NUMBER}@{messages.of_node.name}", 'carries = "all"'),
            "modem": (f"modem:{HEAD_END_NUMBER}@{calls.of_node.name}", ""),
        }
        meters, database = {}, tmp_path / "tms" / "tms.sqlite3"
        with ExitStack() as gateways:
            for kind, (address, more) in ways.items():
                esn = ESNS[kind]
                options = ("--tcp", "127.0.0.1:0", "--serial-number", esn, *clock)
                meter, _ = stack.enter_context(running("meter", "serve", *options))
                meters[kind] = meter["ready"]
                settings = tmp_path / f"{esn}.toml"
                settings.write_text(
                    SETTINGS.format(
                        folder=tmp_path, esn=esn, meter=meter["ready"], address=address, more=more
                    )
                )
                gateways.enter_context(
                    running("gateway", "run", "--settings", str(settings), *clock)
                )
            for kind, esn in ESNS.items():
                wait_until(
                    lambda esn=esn: len(stored(database, esn)) >= ENOUGH, lambda kind=kind: kind
                )
        for kind, esn in ESNS.items():
            own, arrived = meters_own(meters[kind]), stored(database, esn)
            assert sorted(arrived) == list(range(len(arrived))), kind
            assert [arrived[number] for number in sorted(arrived)] == own[: len(arrived)], kind
    for one in (messages, calls):
        one.close()
    broker.stop()
