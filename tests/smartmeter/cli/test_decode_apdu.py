"""``decode frame --protocol c1222``: every published message to the names it was published with."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from smartmeter.cli.frame_c1222 import decode_frame, make_context
from smartmeter.cli.frame_error import FrameError
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


def test_the_verb_prints_json_and_its_status_tells(tmp_path: Path) -> None:
    key = f"{READ['key'][0]['key_id']}={READ['key'][0]['key']}"
    verb = ("decode", "frame", "--protocol", "c1222", "--json", READ["hex"])
    good = smartmeter(*verb, "--key", key)
    assert json.loads(good.stdout) == {"ok": True, "decoded": READ["decoded"]}, good.stderr
    (tmp_path / "keys").write_text(f"# of the meter\n0x05={READ['key'][0]['key']}\n")
    assert smartmeter(*verb, "--key-file", str(tmp_path / "keys")).stdout == good.stdout
    assert smartmeter(*verb, SMARTMETER_C1222_KEYS=key).stdout == good.stdout
    without = smartmeter(*verb)
    assert without.returncode == 1 and json.loads(without.stdout)["reason"] == "unknown-key-id"
    other_base = smartmeter(*verb, "--key", key, "--base-oid", "1.2.3")
    assert json.loads(other_base.stdout)["reason"] == "mac-mismatch"


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
