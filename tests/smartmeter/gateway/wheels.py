"""Wheels made without a network: this checkout as another version, or broken on purpose."""

import base64
import csv
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

ROOT = Path(__file__).parents[3]
PACKAGES = ("ansi_tables", "protocols", "smartmeter")


def wheel_of(files: Mapping[str, bytes], version: str, name: str = "smartmeter") -> bytes:
    """Give a wheel of these files."""
    info = f"smartmeter-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    held = {**files, f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": wheel}
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for path, octets in held.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).rstrip(b"=").decode()
        rows.writerow([path, f"sha256={digest}", len(octets)])
    rows.writerow([f"{info}/RECORD", "", ""])
    made = io.BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as target:
        for path, octets in (*held.items(), (f"{info}/RECORD", record.getvalue().encode())):
            target.writestr(path, octets)
    return made.getvalue()


def our_wheel(version: str, changes: Mapping[str, str] | None = None) -> bytes:
    """Give a wheel of this checkout as another version; ``changes`` replaces files."""
    files = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    files["smartmeter/version.py"] = f'VERSION = "{version}"\n'.encode()
    files |= {path: text.encode() for path, text in (changes or {}).items()}
    return wheel_of(files, version)
