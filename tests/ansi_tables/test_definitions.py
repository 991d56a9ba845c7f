"""Every definition against the facts, for devices drawn from the space of ST-00 and x1 tables."""

from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansi_tables import (
    Context,
    DeviceFormat,
    FormatRefusedError,
    MissingContextError,
    Record,
    TableDefinition,
    TableError,
    TruncatedTableError,
    all_definitions,
    layout_for,
)
from tests.ansi_tables.facts import Interpreter, facts

FACTS = facts()
#: A drawn device makes some forty layouts: few examples, and no long shrinking.
QUICK = settings(max_examples=12, phases=(Phase.explicit, Phase.generate))


def known_on(ctx: Context) -> list[TableDefinition]:
    """The tables of one device: of the load-profile sets only those that ST-00 lists."""
    return [d for d in all_definitions() if has_a_shape(d.number, ctx)]


def has_a_shape(number: int, ctx: Context) -> bool:
    """Not the sets that ST-00 leaves out; not STIME and HTIME_DATE under TM_FORMAT 3 and 4."""
    if 64 <= number <= 67:
        return ctx.uses(number)
    windows = {93: "NBR_ORIGINATE_WINDOWS", 95: "NBR_ANSWER_WINDOWS"}
    timed = number == 57 or (number in windows and ctx.table(91)[windows[number]])
    return not timed or ctx.fmt.tm_format < 3


DIMENSIONS = (11, 21, 31, 41, 51, 61, 71, 91, 121)
#: Counts above these only repeat elements.
SMALL = 5


@st.composite
def devices(draw: st.DrawFn) -> Context:
    sets = draw(st.integers(10, 12))
    fmt = DeviceFormat(
        data_order=draw(st.sampled_from(["little", "big"])),
        char_format=draw(st.integers(1, 3)),
        tm_format=draw(st.integers(0, 4)),
        id_form=draw(st.integers(0, 1)),
        int_format=draw(st.integers(0, 2)),
        ni_format1=draw(st.integers(0, 13)),
        ni_format2=draw(st.integers(0, 13)),
        nameplate_type=draw(st.integers(0, 2)),
        std_version_no=draw(st.integers(1, 2)),
        dim_std_tbls_used=sets,
        dim_mfg_tbls_used=draw(st.integers(0, 3)),
        dim_std_proc_used=draw(st.integers(0, 3)),
        dim_mfg_proc_used=draw(st.integers(0, 3)),
        dim_mfg_status_used=draw(st.integers(0, 3)),
        nbr_pending=draw(st.integers(0, 3)),
        std_tbls_used=draw(st.frozensets(st.sampled_from([64, 65, 66, 67]))),
    )
    tables: dict[int, Record] = {}
    for number in (*DIMENSIONS, 62):
        layout = layout_for(number, Context(fmt, tables))
        assert layout.size is not None
        octets = bytearray(draw(st.binary(min_size=layout.size, max_size=layout.size)))
        for field in layout.listing():
            counts = field.path.startswith("NBR_") or "LENGTH" in field.path or "_LEN" in field.path
            if counts and field.path != "LP_MEMORY_LEN":
                count = draw(st.integers(0, SMALL))
                octets[field.offset : field.offset + field.width] = count.to_bytes(
                    field.width, fmt.data_order
                )
            elif field.path.startswith("INT_FMT_CDE"):
                octets[field.offset] = 1 << draw(st.integers(0, 7))
        tables[number] = layout.decode(bytes(octets))
    return Context(fmt, tables)


def plain(ctx: Context) -> dict[int, Any]:
    """The context as the interpreter of the facts wants it."""
    fmt = ctx.fmt
    first = {name.upper(): value for name, value in vars(fmt).items()}
    first["FORMAT_CONTROL_2"] = {"TM_FORMAT": fmt.tm_format, "ID_FORM": fmt.id_form}
    first["FORMAT_CONTROL_3"] = {"NI_FORMAT1": fmt.ni_format1, "NI_FORMAT2": fmt.ni_format2}
    return {0: first, **{n: ctx.table(n) for n in (*DIMENSIONS, 62)}}


@QUICK
@given(devices())
def test_every_definition_has_the_fields_and_widths_of_the_facts(ctx: Context) -> None:
    interpreter = Interpreter(plain(ctx))
    for known in known_on(ctx):
        if known.number not in FACTS:
            continue  # the reference is not beside this checkout
        layout = layout_for(known.number, ctx)
        ours = [(field.path, field.width) for field in layout.listing()]
        theirs = list(interpreter.leaves(FACTS[known.number]["fields"]))
        fact = FACTS[known.number]
        assert known.name == fact["name"]
        assert (known.layout, known.confidence, known.since) == (
            fact["layout"],
            fact["confidence"],
            fact["since"],
        ), known.name
        assert ours == theirs, known.name


@QUICK
@given(devices(), st.data())
def test_any_content_of_the_right_size_goes_there_and_back(ctx: Context, data: Any) -> None:
    for known in known_on(ctx):
        layout = layout_for(known.number, ctx)
        size = layout.size if layout.size is not None else 20
        octets = data.draw(st.binary(min_size=size, max_size=size))
        assert layout.encode(layout.decode(octets)) == octets, known.name


@QUICK
@given(devices(), st.sampled_from(sorted(d.number for d in all_definitions())), st.data())
def test_a_truncated_table_names_itself_or_ends_at_an_optional_tail(
    ctx: Context, number: int, data: Any
) -> None:
    try:
        layout = layout_for(number, ctx)
    except (MissingContextError, FormatRefusedError) as error:
        assert not has_a_shape(number, ctx) and error.table
        return
    if not layout.size:
        return
    cut = data.draw(st.integers(0, layout.size - 1))
    try:
        value = layout.decode(bytes(cut))
    except TruncatedTableError as error:
        assert error.table and error.path and error.offset is not None and error.offset <= cut
    else:
        assert number in (53, 71, 70) and layout.encode(value) == bytes(cut)


def test_sizes_beyond_the_24_bit_offset_are_refused_before_memory_is_taken() -> None:
    fmt = DeviceFormat(std_tbls_used=frozenset((64,)))
    huge = bytes(4) + b"\0\0\0" + b"\xff" * 6
    act = layout_for(61, Context(fmt)).decode(huge)
    control = Record(INT_FMT_CDE1=4)
    try:
        layout_for(64, Context(fmt, {61: act, 62: control}))
    except TableError as error:
        assert "24-bit" in str(error) and "ST-64" in str(error)
    else:
        raise AssertionError("65,535 blocks of 65,535 intervals of 255 channels were accepted")
