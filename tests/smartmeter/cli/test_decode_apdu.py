"""``decode frame --protocol c1222``: every published message to the names it was published with."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import Envelope, Lock, build_apdu
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import NetworkLogon, encode_service
from smartmeter.cli.frame_c1222 import decode_frame, make_context
from smartmeter.cli.frame_error import FrameError
from smartmeter.cli.known_keys import read_keys
from tests.protocols.c1222.conversation import HOST, METER, READ_1
from tests.smartmeter.cli.served import smartmeter

VECTORS = Path(__file__).parents[2] / "vectors" / "c1222_vectors.json"
MESSAGES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["messages"]
READ = next(m for m in MESSAGES if m["name"] == "own-cleartext-auth-read")


def options(message: dict[str, Any]) -> dict[str, Any]:
    keys = [f"{entry['key_id']}={entry['key']}" for entry in message.get("key", [])]
    session = message.get("session")
    return {
        "keys": keys,
        "key_file": None,
        "base_oid": "2.16.124.113620.1.22.0",
        "in_reply_to": message.get("in_reply_to") or [],
        "session": f"{session['key_id']}={session['iv']}" if session else None,
    }


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["name"])
def test_a_message_decodes_as_published_or_is_refused_with_its_word(
    message: dict[str, Any],
) -> None:
    try:
        decoded = decode_frame(bytes.fromhex(message["hex"]), make_context(**options(message)))
    except FrameError as error:
        assert message["expect"] == "reject" and error.reason == message["reason"]
    else:
        assert message["expect"] == "accept" and decoded == message["decoded"]


def test_a_name_in_a_frame_cannot_command_the_terminal() -> None:
    logon = encode_service(NetworkLogon(2, b"\x1b[2J\x9b\r\n  ", 60))
    octets = build_apdu(Envelope(1, METER, HOST), [logon], None)
    done = smartmeter("decode", "frame", "--protocol", "c1222", octets.hex())
    assert done.returncode == 0 and "user=\\x1b[2J\\x9b" in done.stdout
    assert all(line.isprintable() for line in done.stdout.split("\n"))


def test_the_verb_prints_json_and_its_status_tells(tmp_path: Path) -> None:
    key = f"{READ['key'][0]['key_id']}={READ['key'][0]['key']}"
    verb = ("decode", "frame", "--protocol", "c1222", "--json", READ["hex"])
    good = smartmeter(*verb, "--key", key)
    assert json.loads(good.stdout) == {"ok": True, "decoded": READ["decoded"]}, good.stderr
    (tmp_path / "keys").write_text(f"# of the meter\n0x05={READ['key'][0]['key']}\n")
    assert smartmeter(*verb, "--key-file", str(tmp_path / "keys")).stdout == good.stdout
    assert smartmeter(*verb, SMARTMETER_C1222_KEYS=key).stdout == good.stdout
    without = smartmeter(*verb[:-1], bytes.fromhex(verb[-1]).hex(":"))
    assert without.returncode == 1 and json.loads(without.stdout)["reason"] == "unknown-key-id"
    other_base = smartmeter(*verb, "--key", key, "--base-oid", "1.2.3")
    assert json.loads(other_base.stdout)["reason"] == "mac-mismatch"


def test_nodes_with_different_keys_under_one_id_are_read_side_by_side(tmp_path: Path) -> None:
    """Every node has a key 0 of its own: a capture of many, with the list of all of them."""
    envelope = {METER: "01" * 16, ApTitle.parse(".7.43"): "02" * 16, HOST: "03" * 16}
    sent = {
        title: build_apdu(
            Envelope(1, title, HOST), [READ_1], Lock(EaxPrime(bytes.fromhex(key)), 0, bytes(4))
        )
        for title, key in envelope.items()
        if title != HOST
    }
    file = tmp_path / "keys.csv"
    rows = [f"SM{n},{title},{key},M\n" for n, (title, key) in enumerate(envelope.items())]
    file.write_text("\ufeffesn,title,key,model\n" + "".join(rows))
    in_a_row = [f"0={key}" for key in envelope.values()]
    for given in ({"key_file": str(file)}, {"keys": in_a_row}):
        context = make_context(**{**options({}), **given})
        for octets in sent.values():
            assert decode_frame(octets, context)["services"][0]["service"] == "read"
    context = make_context(**{**options({}), "keys": in_a_row[1:]})
    with pytest.raises(FrameError, match="mac-mismatch"):
        decode_frame(sent[METER], context)
    known = read_keys((), str(file))
    assert list(known.of_node(METER)) == [0]
    with pytest.raises(click.UsageError, match=r"no key of \.7\.99"):
        known.of_node(ApTitle.parse(".7.99"))


def test_the_2006_draft_is_refused_with_a_diagnostic() -> None:
    raw = next(m for m in MESSAGES if m["name"] == "bad-A8-2006-raw-form")
    context = "6025a10706052a8648ce52a2048002072aa603800105a80402021122be09280781058003300001"
    for octets in (raw["hex"], context):
        done = smartmeter("decode", "frame", "--protocol", "c1222", octets)
        assert done.returncode == 1 and "2006" in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": ["5=00"]},
        {"keys": ["256=" + "00" * 16]},
        {"keys": ["no key"]},
        {"base_oid": ".7"},
        {"base_oid": "9.9"},
        {"in_reply_to": ["raed"]},
        {"session": "5=67aabb"},
    ],
)
def test_a_wrong_option_is_named_and_no_key_is_shown(wrong: dict[str, Any]) -> None:
    with pytest.raises(click.UsageError) as caught:
        make_context(**{**options({}), **wrong})
    assert "--" in caught.value.message and "00000000" not in caught.value.message
