"""The published vectors of reports (docs/reports.rst): what we read and write is what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import SsiTable
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.builder import CIPHERTEXT, Envelope, Lock, build_apdu
from protocols.c1222.dissection import dissect
from protocols.c1222.envelope import decode_apdu
from protocols.c1222.registration import DEVICE_CLASS
from protocols.c1222.security import EaxPrime, open_apdu, split_services
from protocols.psem.codec import encode_request
from protocols.psem.services import FullWrite
from smartmeter.tms.report_reader import read_report

FILE = json.loads((Path(__file__).parents[2] / "vectors" / "report_vectors.json").read_text())
CIPHER = EaxPrime(bytes.fromhex(FILE["key"]))
VECTORS = {vector["name"]: vector for vector in FILE["vectors"]}
REPORTS = {name: vector["report"] for name, vector in VECTORS.items() if vector.get("report")}


def services_of(octets: bytes) -> list[bytes]:
    apdu = decode_apdu(octets)
    assert apdu.key_id is not None and apdu.iv is not None
    text = open_apdu(apdu, lambda key_id: CIPHER, (apdu.key_id, apdu.iv))
    return split_services(apdu.user_information[0], text)[1]


def plain(value: Any) -> Any:
    """Octets as hex, all else as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def test_every_kind_of_message_has_its_vector() -> None:
    kinds = {"hello", "schedule", "daily", "alarm", "last gasp", "restoration"}
    assert set(REPORTS) == kinds
    assert {f"answer to {name}" for name in kinds | {"registration"}} < set(VECTORS)
    assert "notification of a plain meter" in VECTORS


@pytest.mark.parametrize("name", VECTORS)
def test_a_message_is_dissected_as_the_vector_says(name: str) -> None:
    octets = bytes.fromhex(VECTORS[name]["hex"])
    assert dissect(octets, {FILE["key_id"]: CIPHER}.get) == VECTORS[name]["decoded"]


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_reads_as_the_vector_says(name: str) -> None:
    header, parts = read_report(services_of(bytes.fromhex(VECTORS[name]["hex"])))
    assert plain(header) == REPORTS[name]["header"]
    told = [
        {
            "table": part.table,
            "name": part.ssi.name if part.ssi is not None else f"ST-{part.table}",
            "value": plain(dict(part.value) if part.ssi is not None else part.octets),
        }
        for part in parts
    ]
    assert told == REPORTS[name]["parts"]


def test_the_alarm_is_built_from_its_values_octet_by_octet() -> None:
    vector, report = VECTORS["alarm"], REPORTS["alarm"]
    header = {**report["header"], "SIGNATURE": b"SSI1"}
    [part] = report["parts"]
    images = (
        (header["BASE"], ssi_tables.encode(SsiTable.REPORT_HEADER, header)),
        (part["table"], ssi_tables.encode(SsiTable.ALARM, part["value"])),
    )
    services = [encode_request(FullWrite(table, image)) for table, image in images]
    said = vector["decoded"]
    envelope = Envelope(
        said["calling_ap_invocation_id"],
        ApTitle.parse(said["called_ap_title"]),
        ApTitle.parse(said["calling_ap_title"]),
        qualifier=said["calling_ae_qualifier"],
    )
    lock = Lock(CIPHER, said["key_id"], bytes.fromhex(said["iv"]), CIPHERTEXT)
    ed_class = bytes.fromhex(said["ed_class"])
    assert ed_class == DEVICE_CLASS
    assert build_apdu(envelope, services, lock, ed_class=ed_class).hex() == vector["hex"]


@pytest.mark.parametrize("name", [name for name in VECTORS if name.startswith("answer to ")])
def test_an_answer_says_ok_to_every_item(name: str) -> None:
    asked = VECTORS[name.removeprefix("answer to ")]
    items = services_of(bytes.fromhex(VECTORS[name]["hex"]))
    assert len(items) == len(asked["decoded"]["services"])
    assert {item[0] for item in items} == {0}
    back = VECTORS[name]["decoded"]
    assert back["called_ap_invocation_id"] == asked["decoded"]["calling_ap_invocation_id"]
    assert back["called_ap_title"] == asked["decoded"]["calling_ap_title"]
