"""The reference's facts of tables, read by a small interpreter: another hand than the codecs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference"
NI = [8, 4, 12, 6, 4, 6, 4, 3, 4, 5, 6, 8, 8, 21]
TIMES = {"STIME_DATE": [0, 5, 5, 4, 4], "LTIME_DATE": [0, 6, 6, 5, 4], "TIME": [0, 3, 3, 4, 4]}
TIMES |= {"HTIME_DATE": [0, 7, 7], "STIME": [0, 2, 2]}
FIXED = {"UINT8": 1, "UINT16": 2, "UINT32": 4, "INT16": 2, "INT48": 6, "DATE": 2, "RDATE": 2}
FIXED |= {"BITFIELD8": 1, "BITFIELD16": 2, "BITFIELD32": 4}
FIXED |= {"TABLE_IDA_BFLD": 2, "TABLE_IDB_BFLD": 2, "TABLE_IDC_BFLD": 2}
INTERVAL = {1: 1, 2: 2, 4: 4, 8: 1, 16: 2, 32: 4}


def facts() -> dict[int, dict[str, Any]]:
    """Give the facts by table number; empty where the reference is not there."""
    found = {}
    for name in ("c1219_tables_00_49.yaml", "c1219_tables_50_169.yaml"):
        if (FOLDER / name).exists():
            for table in yaml.safe_load((FOLDER / name).read_text()):
                found[table["number"]] = table
    return found


class Interpreter:
    """Walks the facts of one table for one device, whose context tables are plain dicts."""

    def __init__(self, context: dict[int, Any]) -> None:
        self.context = context

    def value(self, expression: Any) -> int:
        """Evaluate an expression: integers, operators, and references to members."""
        if isinstance(expression, int):
            return expression

        def look_up(match: re.Match[str]) -> str:
            found: Any = self.context[int(match[1])]
            for name in match[2].strip(".").split("."):
                member = re.fullmatch(r"(\w+)\[(\d+)\]", name)
                if member:
                    return str(int(int(member[2]) in found[member[1]]))
                found = found.get(name, 0)
            return str(int(found))

        text = re.sub(r"ST(\d+)((?:\.\w+(?:\[\d+\])?)+)", look_up, expression)
        assert re.fullmatch(r"[\d\s()+\-*/=!<>andortn]+", text), text
        return int(eval(text, {"__builtins__": {}}))

    def width(self, type_name: str) -> int:
        """Give the octets of a type on this device."""
        formats = self.context[0]
        if type_name in FIXED:
            return FIXED[type_name]
        if type_name in TIMES:
            return TIMES[type_name][formats["FORMAT_CONTROL_2"]["TM_FORMAT"]]
        if type_name in ("NI_FMAT1", "NI_FMAT2"):
            return NI[formats["FORMAT_CONTROL_3"][f"NI_FORMAT{type_name[-1]}"]]
        kind, inner = re.fullmatch(r"(\w+)\((.*)\)", type_name).groups()  # type: ignore[union-attr]
        if kind == "INT_FMT":
            code = self.value(inner)
            return INTERVAL.get(code) or self.width("NI_FMAT1" if code == 64 else "NI_FMAT2")
        assert kind in ("STRING", "CHAR", "BINARY", "BCD", "SET"), type_name
        return self.value(inner)

    def leaves(self, fields: list[dict[str, Any]], path: str = "") -> Iterator[tuple[str, int]]:
        """Give path and width of each field in wire order; a rest has no width and ends it."""
        for field in fields:
            if "when" in field and not self.value(field["when"]):
                continue
            name = field.get("std_name", field.get("name", ""))
            yield from self.one(field, f"{path}.{name}" if path else name)

    def one(self, field: dict[str, Any], path: str) -> Iterator[tuple[str, int]]:
        """Give the leaves of one field."""
        kind = field["type"]
        if kind == "PACKED":
            yield from self.leaves(field["fields"], path)
        elif kind == "ARRAY":
            element = field["of"]
            element = {"type": element} if isinstance(element, str) else element
            for index in range(self.value(field["count"])):
                yield from self.one(element, f"{path}.{index}")
        elif kind == "BINARY(*)":
            yield path, 0
        else:
            yield path, self.width(kind)
