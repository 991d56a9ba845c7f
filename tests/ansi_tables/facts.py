"""The reference's facts of tables, read by a small interpreter: another hand than the codecs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference"
NI = [8, 4, 12, 6, 4, 6, 4, 3, 4, 5, 6, 8, 8, 21]
TIMES = {"STIME_DATE": [0, 5, 5, 4, 4], "LTIME_DATE": [0, 6, 6, 5, 4], "TIME": [0, 3, 3, 4, 4]}
TIMES |= {"HTIME_DATE": [0, 7, 7], "STIME": [0, 2, 2]}
FIXED = {"UINT8": 1, "UINT16": 2, "UINT32": 4, "INT8": 1, "INT16": 2, "INT32": 4, "INT48": 6}
FIXED |= {"BITFIELD8": 1, "BITFIELD16": 2, "BITFIELD32": 4, "DATE": 2, "RDATE": 2}
FIXED |= {"TABLE_IDA_BFLD": 2, "TABLE_IDB_BFLD": 2, "TABLE_IDC_BFLD": 2}
INTERVAL = {1: "UINT8", 2: "UINT16", 4: "UINT32", 8: "INT8", 16: "INT16", 32: "INT32"}
INTERVAL |= {64: "NI_FMAT1", 128: "NI_FMAT2"}
#: The shape that ST-123 names without spelling it out.
_IDB_BITS = {"TBL_PROC_NBR": (0, 10), "STD_VS_MFG_FLAG": (11, 11), "SELECTOR": (12, 15)}


class Leaf(NamedTuple):
    """One field of the facts on one device; ``bits`` of a bit field, without its filler."""

    path: str
    width: int
    type_name: str
    bits: dict[str, tuple[int, int]] | None


def facts() -> dict[int, dict[str, Any]]:
    """Give the facts by table number; empty where the reference is not there."""
    found = {}
    for name in ("c1219_tables_00_49.yaml", "c1219_tables_50_169.yaml"):
        if (FOLDER / name).exists():
            for table in yaml.safe_load((FOLDER / name).read_text()):
                found[table["number"]] = table
    return found


def conventions() -> dict[str, Any]:
    """Give the machine-readable part of the types and conventions; empty where it is not there."""
    path = FOLDER / "c1219_types_and_conventions.md"
    if not path.exists():
        return {"named_types": {}, "sizes": {}}
    blocks = re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if block.startswith("named_types:")]
    loaded: dict[str, Any] = yaml.safe_load(found)
    return loaded


class Interpreter:
    """Walks the facts of one table for one device, whose context tables are plain dicts.

    ``seen`` collects what each condition came to, by its text.
    """

    def __init__(self, context: dict[int, Any], seen: dict[str, set[bool]] | None = None) -> None:
        self.context = context
        self.seen = {} if seen is None else seen

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

    def there(self, field: dict[str, Any]) -> bool:
        """Tell whether a field or a bit is there on this device."""
        if "when" not in field:
            return True
        found = bool(self.value(field["when"]))
        self.seen.setdefault(field["when"], set()).add(found)
        return found

    def type_of(self, type_name: str) -> str:
        """Give a type with its lengths worked out: SET(3), STRING(20)."""
        if type_name in FIXED or type_name in TIMES or type_name.startswith("NI_FMAT"):
            return "BITFIELD16" if type_name.startswith("TABLE_ID") else type_name
        kind, inner = re.fullmatch(r"(\w+)\((.*)\)", type_name).groups()  # type: ignore[union-attr]
        if kind == "INT_FMT":
            return INTERVAL[self.value(inner)]
        assert kind in ("STRING", "CHAR", "BINARY", "BCD", "SET"), type_name
        return f"{'STRING' if kind == 'CHAR' else kind}({self.value(inner)})"

    def width(self, type_name: str) -> int:
        """Give the octets of a type on this device."""
        formats, name = self.context[0], self.type_of(type_name)
        if name in FIXED:
            return FIXED[name]
        if name in TIMES:
            return TIMES[name][formats["FORMAT_CONTROL_2"]["TM_FORMAT"]]
        if name.startswith("NI_FMAT"):
            return NI[formats["FORMAT_CONTROL_3"][f"NI_FORMAT{name[-1]}"]]
        return int(name[name.index("(") + 1 : -1])

    def leaves(self, fields: list[dict[str, Any]], path: str = "") -> Iterator[Leaf]:
        """Give each field in wire order; a rest has no width and ends it."""
        for field in fields:
            if self.there(field):
                name = field.get("std_name", field.get("name", ""))
                yield from self.one(field, f"{path}.{name}" if path else name)

    def one(self, field: dict[str, Any], path: str) -> Iterator[Leaf]:
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
            yield Leaf(path, 0, kind, None)
        else:
            yield Leaf(path, self.width(kind), self.type_of(kind), self.bits(field))

    def bits(self, field: dict[str, Any]) -> dict[str, tuple[int, int]] | None:
        """Give the members of a bit field that are there on this device."""
        if field["type"] == "TABLE_IDB_BFLD" and "bits" not in field:
            return _IDB_BITS
        if "bits" not in field:
            return None
        return {
            bit["name"]: (bit["lo"], bit["hi"])
            for bit in field["bits"]
            if bit["name"] != "FILLER" and self.there(bit)
        }
