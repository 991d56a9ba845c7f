"""WAKE between processes: TMS, relay, gateway and meter, and two modems at ptys."""

import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from smartmeter.cli.tms_client import PASSWORD_VARIABLE, TmsClient
from smartmeter.ssi.factory import relative_title
from tests.smartmeter.cli.served import running
from tests.smartmeter.comms.far_ends import HEAD_END_NUMBER, NODE_NUMBER, Modems
from tests.waiting import wait_until

ESN, KEY = "SM000007", "00112233445566778899aabbccddeeff"
SETTINGS = """
[gateway]
data = "{folder}/readings"
[module]
esn = "{esn}"
key_file = "{folder}/key"
state = "{folder}/module.nvram"
[meter]
port = "{meter}"
password_file = "{folder}/password"
[[tms]]
address = "{address}"
when = "wanted"
[[tms]]
address = "sms:{number}@{modem}"
cost = 50
"""


@pytest.mark.night
@pytest.mark.parametrize("by_relay", [False, True])
def test_a_person_reads_a_meter_that_sleeps(
    by_relay: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "a long password")
    modems, title = Modems(), str(relative_title(ESN))
    shipment, numbers = tmp_path / "shipment.csv", tmp_path / "numbers.csv"
    wake = "" if by_relay else NODE_NUMBER
    shipment.write_text(f"esn,title,key,model,wake\n{ESN},{title},{KEY},SM-1,{wake}\n")
    numbers.write_text(f"title,number\n{title},{NODE_NUMBER}\n")
    for name, text in (("key", KEY), ("password", "master")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    bell = ("--sms", modems.of_head_end.name)
    with ExitStack() as stack:
        meter, _ = stack.enter_context(
            running("meter", "serve", "--tcp", "127.0.0.1:0", "--serial-number", ESN)
        )
        options = ("--listen", "127.0.0.1:0", "--web", "127.0.0.1:0", "--shipment", str(shipment))
        tms, _ = stack.enter_context(
            running("tms", "run", "--data", str(tmp_path / "tms"), *options, *bell * (not by_relay))
        )
        address = tms["ready"]
        if by_relay:
            options = ("--listen", "127.0.0.1:0", "--upstream", address, "--wake", str(numbers))
            relay, _ = stack.enter_context(running("relay", "run", *options, *bell))
            address = relay["ready"]
        settings = tmp_path / "gateway.toml"
        settings.write_text(
            SETTINGS.format(
                folder=tmp_path,
                esn=ESN,
                meter=meter["ready"],
                address=address,
                number=HEAD_END_NUMBER,
                modem=modems.of_node.name,
            )
        )
        stack.enter_context(running("gateway", "run", "--settings", str(settings)))
        store = sqlite3.connect(f"file:{tmp_path}/tms/tms.sqlite3?mode=ro", uri=True)
        state = "SELECT count(*) FROM meters WHERE state='provisioned'"
        wait_until(lambda: store.execute(state).fetchone()[0] == 1)
        store.close()
        time.sleep(40)  # it lingers for half a minute after the last word, and then sleeps
        client = TmsClient(tms["page"].rstrip("/"), "operator")
        job = client.post(f"/api/meters/{ESN}/jobs", {"kind": "on-demand read"})["job"]
        wait_until(lambda: client.get(f"/api/jobs/{job}")["state"] in ("done", "failed"))
        done = client.get(f"/api/jobs/{job}")
        assert done["state"] == "done" and done["attempts"] == (1 if by_relay else 2), done
    modems.close()
