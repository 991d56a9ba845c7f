"""Builds the images of a made-up meter: tables of zeros with some fields set."""

from typing import Any

from ansi_tables import Context, DeviceFormat, Snapshot, layout_for


def general(fmt: DeviceFormat) -> bytes:
    """ST-00 of a device that lists all tables up to 79."""
    octets = bytearray(19 + 4 * 10)
    octets[0] = int(fmt.data_order == "big") | fmt.char_format << 1 | fmt.model_select << 4
    octets[1] = fmt.tm_format | 1 << 3 | fmt.id_form << 5 | fmt.int_format << 6
    octets[2] = fmt.ni_format1 | fmt.ni_format2 << 4
    octets[7], octets[11], octets[13] = fmt.nameplate_type, fmt.std_version_no, 10
    octets[19:29] = b"\xff" * 8 + b"\x01\xff"  # ST-65, 66 and 67 are not there
    return bytes(octets[: 19 + 20])


def put(tables: Snapshot, number: int, values: dict[str, Any]) -> None:
    """Add a table that is all zeros but for ``values``, by their paths."""
    layout = layout_for(number, Context.from_images(tables.images))
    assert layout.size is not None
    record = layout.decode(bytes(layout.size))
    for path, value in values.items():
        *steps, last = path.split(".")
        member: Any = record
        for step in steps:
            member = member[int(step)] if isinstance(member, list) else member[step]
        if isinstance(member, list):
            member[int(last)] = value
        else:
            assert last in member, path
            member[last] = value
    tables.images[number] = layout.encode(record)


def device(tables: dict[int, dict[str, Any]], **fmt: Any) -> Snapshot:
    """A meter with these tables, each given after those that it needs."""
    made = Snapshot({0: general(DeviceFormat(**fmt))})
    for number, values in tables.items():
        put(made, number, values)
    return made
