"""Tables of real meters decode, with their context, to the last octet, and encode back."""

import json
from typing import Any

import pytest

from ansi_tables import TableError, TruncatedTableError
from ansi_tables.rendering import listing, to_json_value
from tests.ansi_tables.real_tables import IMAGES, maker, octets, one_block_only, snapshot

#: Images without their context: the meter's ST-21 was not captured.
WITHOUT_CONTEXT = {("GE I-210+c (firmware 2.0, 2012 capture)", 27)}


NAMED = [pytest.param(i, id=f"{maker(i)}-ST{i['table']}-{n}") for n, i in enumerate(IMAGES)]


@pytest.mark.parametrize("image", NAMED)
def test_a_real_table_decodes_to_its_exact_length_and_back(image: dict[str, Any]) -> None:
    tables = snapshot(maker(image))
    one_block_only(image, tables)
    if (image["meter"], image["table"]) in WITHOUT_CONTEXT:
        with pytest.raises(TableError, match="ST-21"):
            tables.layout(image["table"])
        return
    layout = tables.layout(image["table"])
    value, trailing = layout.decode_with_trailing(octets(image))
    assert trailing == b"" and layout.size == len(octets(image))
    assert layout.encode(value) == octets(image)
    assert list(listing(layout, value))
    json.dumps(to_json_value(value))


@pytest.mark.parametrize("image", [p for p in NAMED if p.values[0].get("expect")])
def test_a_real_table_holds_the_values_that_were_published(image: dict[str, Any]) -> None:
    tables = snapshot(maker(image))
    one_block_only(image, tables)
    value = tables.layout(image["table"]).decode(octets(image))
    for path, expected in image["expect"].items():
        found: Any = value
        for step in path.split("."):
            found = found[int(step)] if isinstance(found, list) else found[step]
        if isinstance(expected, list):
            found = list(found.raw)
        assert found == expected, path


def test_the_registers_of_a_real_meter_add_up() -> None:
    block = snapshot("HX")[23].TOT_DATA_BLOCK
    forward, reverse, gross, net = block.SUMMATIONS[:4]
    assert (forward + reverse, forward - reverse) == (gross, net)


@pytest.mark.parametrize("image", NAMED)
def test_every_truncation_names_the_table_the_field_and_the_octet(image: dict[str, Any]) -> None:
    if (image["meter"], image["table"]) in WITHOUT_CONTEXT:
        return
    tables = snapshot(maker(image))
    one_block_only(image, tables)
    layout = tables.layout(image["table"])
    whole = octets(image)
    for field in layout.listing():
        for cut in range(field.offset, field.offset + field.width):
            with pytest.raises(TruncatedTableError) as caught:
                layout.decode(whole[:cut])
            error = caught.value
            place = (f"ST-{image['table']:02d}", field.path, field.offset)
            assert (error.table, error.path, error.offset) == place
