"""tshark over packets of our own: what Wireshark's dissector finds in them."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from protocols.transports.pcapng import RAW_IP, Captured, PcapngWriter

FIELDS = (
    "c1222.crypto_good",
    "c1222.crypto_bad",
    "_ws.malformed",
    "_ws.expert.severity",
    "c1222.epsem.not_decrypted",
    "c1222.cmd",
    "c1222.err",
    "c1222.epsem.data",
    "c1222.epsem.edclass",
    "c1222.calling_AP_invocation_id",
    "c1222.called_AP_invocation_id",
)
needs_tshark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="needs the Debian package tshark"
)


def write_capture(path: Path, packets: Sequence[bytes]) -> None:
    with path.open("wb") as out:
        writer = PcapngWriter(out)
        for number, packet in enumerate(packets):
            writer.packet(Captured(RAW_IP, number * 1000, packet))


def tshark(path: Path, *options: str) -> str:
    done = subprocess.run(
        ["tshark", "-r", str(path), *options], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def dissected(path: Path, keys: dict[int, bytes]) -> list[dict[str, list[str]]]:
    """Give for each packet the values of each field."""
    options = ["-o", "c1222.decrypt:TRUE", "-o", "c1222.baseoid:2.16.124.113620.1.22.0"]
    for key_id, key in keys.items():
        # The id is quoted, in hexadecimal without leading zero; the key is not quoted.
        options += ["-o", f'uat:c1222_decryption_table:"{key_id:X}",{key.hex().upper()}']
    options += ["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;", "-E", "separator=|"]
    for field in FIELDS:
        options += ["-e", field]
    rows = []
    for line in tshark(path, *options).splitlines():
        values = line.split("|")
        rows.append({f: v.split(";") if v else [] for f, v in zip(FIELDS, values, strict=True)})
    return rows
