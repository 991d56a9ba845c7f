"""A page for every table, made from the definitions whenever the site is built."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansi_tables import Context, DeviceFormat, Record, TableDefinition, all_definitions, layout_for
from ansi_tables.description import Member, describe_table
from ansi_tables.ids import MANUFACTURER_BIT, name_of
from ansi_tables.words import member_meaning

#: x1 tables, and ST-62, in the order in which they need each other.
CONTEXT = (11, 21, 31, 41, 51, 61, 62, 71, 91, 121)

TRUST = {
    "verified": "two independent public sources agree, or one and a real image",
    "single-source": "one public source",
    "from-memory": "from memory of the standard: test it against a device first",
}
LAYOUT = {
    "known": "known",
    "tentative": "tentative: the best recollection",
    "opaque": "not publicly known: the octets are kept as they are",
}


def example_device(number: int) -> Context:
    """Give a device for a page: every table, one element in each list, no flag set.

    Members that depend on a flag are then told with it as their condition.
    Load-profile set 1 stands for all sets, but for the page of another set's data.
    """
    others = {65, 66, 67} - {number}
    fmt = DeviceFormat(
        dim_std_tbls_used=21,
        dim_mfg_tbls_used=1,
        dim_std_proc_used=4,
        dim_mfg_proc_used=1,
        dim_mfg_status_used=1,
        nbr_pending=1,
        std_tbls_used=frozenset(set(range(168)) - others),
    )
    tables: dict[int, Record] = {}
    for each in CONTEXT:
        layout = layout_for(each, Context(fmt, tables))
        tables[each] = _ones(layout.decode(bytes(layout.size or 0)))
    return Context(fmt, tables)


def _ones(record: Record) -> Record:
    changed = Record(record)
    for name, value in record.items():
        if isinstance(value, Record):
            changed[name] = _ones(value)
        elif name.startswith(("NBR_", "INT_FMT_CDE")) or "LENGTH" in name or name.endswith("_LEN"):
            changed[name] = 1
    return changed


def table_page(known: TableDefinition) -> str:
    """Give the page of one table as reStructuredText."""
    title = f"{name_of(known.number)}  {known.title}"
    lines = [title, "=" * len(title), "", f"``{known.name}``", ""]
    told = inspect.getdoc(known.build) or ""
    if known.layout != "opaque" and told:
        lines += [told, ""]
    since = "1997" if known.since <= 1997 else str(known.since)
    lines += [
        f":layout: {LAYOUT[known.layout]}",
        f":trust: {known.confidence}: {TRUST[known.confidence]}",
        f":edition: {since} on",
    ]
    if known.needs:
        lines.append(f":needs: ST-00, {', '.join(name_of(number) for number in known.needs)}")
    lines.append("")
    if known.layout != "opaque":
        lines += _members(known)
    return "\n".join(lines) + "\n"


def _members(known: TableDefinition) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 34 14 26 40", "")
    yield from _row("Member", "Type", "If", "Meaning")
    for member in describe_table(known, example_device(known.number)):
        name = "· " * member.depth + f"``{member.name}``"
        yield from _row(name, _type(member), _code(member.condition), _text(member.meaning))
        for bit, (low, high) in (member.bits or {}).items():
            place = f"bit {low}" if low == high else f"bits {low} to {high}"
            inner = "· " * (member.depth + 1) + f"``{bit}``"
            yield from _row(inner, place, "", _text(member_meaning(known.number, bit)))
    yield ""


def _row(*cells: str) -> Iterator[str]:
    for index, cell in enumerate(cells):
        yield f"   {'*' if index == 0 else ' '} - {cell}".rstrip()


def _type(member: Member) -> str:
    name = "SET" if member.type_name.startswith("SET") else member.type_name
    if member.counted_by:
        return f"{name}; sized by {_code(member.counted_by)}"
    return name


def _code(text: str) -> str:
    return f"``{text}``" if text else ""


def _text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("_", "\\_")


def index_page(definitions: list[TableDefinition]) -> str:
    """Give the page that lists all tables, with what is known of each and how well."""
    lines = ["Every table", "===========", ""]
    lines += ["Made from the definitions in ``ansi_tables/decades``.", ""]
    lines += [".. list-table::", "   :header-rows: 1", "   :widths: 10 50 20 20", ""]
    lines += _row("Table", "Title", "Layout", "Trust")
    for known in definitions:
        page = f":doc:`{name_of(known.number)} <{file_name(known)}>`"
        trust = known.confidence if known.layout != "opaque" else ""
        lines += _row(page, _text(known.title), known.layout, trust)
    lines += ["", ".. toctree::", "   :hidden:", "   :glob:", "", "   st_*"]
    return "\n".join(lines) + "\n"


def file_name(known: TableDefinition) -> str:
    """Give the name of a table's page, without its ending."""
    return f"st_{known.number:03d}"


def write_pages(folder: Path) -> list[str]:
    """Write all pages that changed, remove those of tables that are gone; give their names."""
    folder.mkdir(exist_ok=True)
    definitions = [one for one in all_definitions() if not one.number & MANUFACTURER_BIT]
    pages = {file_name(known): table_page(known) for known in definitions}
    pages["index"] = index_page(definitions)
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    return sorted(pages)


def _begin(app: Any) -> None:
    write_pages(Path(app.srcdir) / "c1219" / "tables")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", _begin)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
