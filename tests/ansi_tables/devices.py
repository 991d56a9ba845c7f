"""Devices drawn from the whole space: ST-00 first, then the x1 tables, as images.

An x1 table may be missing from ST-00: then it counts as zero.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from ansi_tables import Context, DeviceFormat, TableDefinition, all_definitions, layout_for

#: The tables that others depend on; all but ST-62 may be unlisted.
DIMENSIONS = (11, 21, 31, 41, 51, 61, 71, 91, 121)
PROFILE_CONTROL = 62
PROFILE_DATA = range(64, 68)
#: Counts above these only repeat elements.
SMALL = 5
#: Octets of STD_TBLS_USED: 17 reach ST-135.
_STANDARD_SETS = 17


def few(examples: int) -> settings:
    """A drawn device makes some hundred layouts: few examples, and no long shrinking."""
    return settings(
        max_examples=examples,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )


@st.composite
def general_configurations(draw: st.DrawFn) -> bytes:
    """Octets of ST-00 with every format that is not reserved."""
    first = draw(st.integers(0, 1)) | draw(st.integers(0, 7)) << 1
    second = draw(st.integers(0, 4)) | draw(st.integers(0, 1)) << 5 | draw(st.integers(0, 2)) << 6
    third = draw(st.integers(0, 13)) | draw(st.integers(0, 13)) << 4
    dims = [_STANDARD_SETS, *(draw(st.integers(0, 3)) for _ in range(4))]
    head = [first, second, third, 0, 0, 0, 0, draw(st.integers(0, 2)), 0, 20, 30]
    head += [draw(st.integers(0, 3)), 0, *dims, draw(st.integers(0, 3))]
    used = {0, *DIMENSIONS} - draw(st.frozensets(st.sampled_from(DIMENSIONS), max_size=2))
    used |= {61, PROFILE_CONTROL} | draw(st.frozensets(st.sampled_from(list(PROFILE_DATA))))
    listed = sum(1 << number for number in used).to_bytes(_STANDARD_SETS, "little")
    return bytes(head) + listed + bytes(dims[1] + dims[2] + dims[3] + _STANDARD_SETS + dims[1])


@st.composite
def images(draw: st.DrawFn) -> dict[int, bytes]:
    """ST-00 and the tables that layouts depend on; flags at will, counts small."""
    found = {0: draw(general_configurations())}
    used = DeviceFormat.from_table0(found[0]).std_tbls_used
    for number in (*DIMENSIONS, PROFILE_CONTROL):
        if number not in used:
            continue
        context = Context.from_images(found)
        layout = layout_for(number, context)
        assert layout.size is not None
        octets = bytearray(draw(st.binary(min_size=layout.size, max_size=layout.size)))
        for field in layout.listing():
            if field.path.startswith("INT_FMT_CDE"):
                octets[field.offset] = 1 << draw(st.integers(0, 7))
            elif field.path == "CONSTANTS_SELECTOR":
                octets[field.offset] = draw(st.integers(0, 3))
            elif is_count(field.path):
                count = draw(st.integers(0, SMALL))
                octets[field.offset : field.offset + field.width] = count.to_bytes(
                    field.width, context.fmt.data_order
                )
        found[number] = bytes(octets)
    return found


def is_count(name: str) -> bool:
    """Tell whether a member of an x1 table is a number or a length of elements."""
    if name == "LP_MEMORY_LEN":
        return False
    return name.startswith("NBR_") or any(part in name for part in ("LENGTH", "_LEN", "WIDTH_"))


def corners() -> Iterator[Context]:
    """Devices at the corners of the space: flags all or none, each record, each edition."""
    for flags, choice, edition, count in product((0, 0xFF), (0, 1, 2), (1, 2), (0, 1)):
        data = PROFILE_DATA if count else ()
        fmt = DeviceFormat(
            id_form=choice & 1,
            nameplate_type=choice,
            std_version_no=edition,
            nbr_pending=count,
            std_tbls_used=frozenset((0, PROFILE_CONTROL, *DIMENSIONS, *data)),
        )
        tables: dict[int, Any] = {}
        for number in (*DIMENSIONS, PROFILE_CONTROL):
            layout = layout_for(number, Context(fmt, tables))
            assert layout.size is not None
            value = layout.decode(bytes([flags]) * layout.size)
            for name in value:
                if is_count(name):
                    value[name] = count
                elif name == "CONSTANTS_SELECTOR" or name.startswith("INT_FMT_CDE"):
                    value[name] = choice if name == "CONSTANTS_SELECTOR" else 1
            if number == 51:
                value.CALENDAR_FUNC["NBR_SEASONS"] = count
            if number == 91:
                value.TELEPHONE_FLAGS["BIT_RATE"] = choice
            tables[number] = value
        yield Context(fmt, tables)


@st.composite
def devices(draw: st.DrawFn) -> Context:
    """A context with all that layouts depend on."""
    return Context.from_images(draw(images()))


def has_a_shape(number: int, ctx: Context) -> bool:
    """Not the sets that ST-00 leaves out; not STIME and HTIME_DATE under TM_FORMAT 3 and 4."""
    if number in PROFILE_DATA:
        return ctx.uses(number)
    windows = {93: "NBR_ORIGINATE_WINDOWS", 95: "NBR_ANSWER_WINDOWS"}
    timed = number == 57 or (number in windows and ctx.table(91)[windows[number]])
    return not timed or ctx.fmt.tm_format < 3


def known_on(ctx: Context) -> list[TableDefinition]:
    """The tables that have a shape on a device."""
    return [d for d in all_definitions() if has_a_shape(d.number, ctx)]


def plain_context(ctx: Context) -> dict[int, Any]:
    """The context as the interpreter of the facts wants it."""
    fmt = ctx.fmt
    first: dict[str, Any] = {name.upper(): value for name, value in vars(fmt).items()}
    first["FORMAT_CONTROL_2"] = {"TM_FORMAT": fmt.tm_format, "ID_FORM": fmt.id_form}
    first["FORMAT_CONTROL_3"] = {"NI_FORMAT1": fmt.ni_format1, "NI_FORMAT2": fmt.ni_format2}
    return {0: first, **{n: ctx.table(n) for n in (*DIMENSIONS, PROFILE_CONTROL)}}
