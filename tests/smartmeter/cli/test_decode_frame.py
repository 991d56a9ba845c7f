"""``decode frame``: every frame of the vector file, good and bad, and what is no frame at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartmeter.cli.frame_c1218 import decode_frame
from smartmeter.cli.frame_error import FrameError
from tests.smartmeter.cli.served import smartmeter

VECTORS = Path(__file__).parents[2] / "vectors" / "c1218_vectors.json"
FRAMES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["frames"]
#: Wrong only for what came before, or harmless to a receiver: the frame alone is in order.
IN_CONTEXT = {"bad_oversize_for_default", "bad_continuation_without_first", "bad_reserved_bits"}


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["name"])
def test_a_frame_decodes_to_its_fields_or_is_refused_with_a_reason(frame: dict[str, Any]) -> None:
    try:
        decoded = decode_frame(bytes.fromhex(frame["hex"]))
    except FrameError as error:
        assert not frame["valid"] and str(error)
        return
    assert frame["valid"] or frame["name"] in IN_CONTEXT
    assert set(decoded) == set(frame["decoded"])
    assert {**decoded, "psem": ""} == {**frame["decoded"], "psem": ""}


def test_a_packet_of_the_local_port_of_c1222_is_called_that() -> None:
    with pytest.raises(FrameError, match=r"C12\.22's local port"):
        decode_frame(bytes.fromhex("EE000100000172C06A"))  # get configuration


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\xee\0\0\0\0\1" + tail))
def test_any_octets_decode_or_are_refused(octets: bytes) -> None:
    try:
        assert decode_frame(octets)["psem"]
    except FrameError as error:
        assert str(error)


def test_the_verb_prints_json_and_its_status_tells() -> None:
    good = smartmeter("decode", "frame", "--protocol", "c1218", "EE00000000012013 10", "--json")
    assert good.returncode == 0, good.stderr
    shown = json.loads(good.stdout)
    assert shown["ok"] and shown["decoded"]["data"] == "20" and shown["decoded"]["toggle"] == 0
    bad = smartmeter("decode", "frame", "EE00000000012113 10", "--json")
    assert bad.returncode == 1
    shown = json.loads(bad.stdout)
    assert not shown["ok"] and "checksum" in shown["reason"]
    person = smartmeter("decode", "frame", "ee000000000120", "1310")
    assert "Identify" in person.stdout and person.returncode == 0
    assert smartmeter("decode", "frame", "zz").returncode == 2
