"""Links and what can be wrapped around them: by rule, in any stack, the same for the same seed."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.c1222.builder import NOTIFICATION, Envelope, build_apdu
from smartmeter.network.area import Area
from smartmeter.network.carrier import Wrapper
from smartmeter.network.faults import (
    Corruption,
    DutyCycle,
    Latency,
    Loss,
    Muted,
    Partition,
    Rate,
    Reordering,
    Repetition,
)
from smartmeter.network.link import Link, LinkSettings
from tests.protocols.c1222.conversation import HOST, METER, READ_1, request

S = 1_000_000
MAKERS: dict[str, Callable[[Random], Wrapper]] = {
    "latency": lambda chance: Latency(30_000, 50_000, chance),
    "rate": lambda chance: Rate(9600, 2000),
    "duty": lambda chance: DutyCycle(10 * S, 2 * S),
    "loss": lambda chance: Loss(30, chance),
    "repetition": lambda chance: Repetition(30, chance),
    "reordering": lambda chance: Reordering(30, chance),
    "corruption": lambda chance: Corruption(30, chance),
    "partition": lambda chance: Partition(),
}


def a_link(*wrappers: Wrapper) -> Link:
    link = Link(LinkSettings(), Random(1))
    for wrapper in wrappers:
        link.wrap(wrapper)
    return link


def drained(link: Link) -> list[tuple[int, bool, bytes]]:
    """Let a link carry to its end: instant, direction and octets."""
    found = []
    while (due_us := link.deadline_us()) is not None:
        found += [(due_us, outward, octets) for outward, octets in link.arrived(due_us)]
    return found


def test_a_bare_link_gives_at_once_what_was_put() -> None:
    link = a_link()
    link.put(b"a", True, 5)
    link.put(b"b", False, 5)
    assert link.deadline_us() == 5
    assert link.arrived(5) == [(True, b"a"), (False, b"b")]
    assert link.deadline_us() is None


def test_a_rate_sends_one_after_the_other_each_way_and_loses_what_finds_its_queue_full() -> None:
    link = a_link(Rate(8000, 2000))  # one octet a millisecond
    for outward in (True, True, False, True):
        link.put(bytes(900), outward, 0)
    assert link.lost == 1, "1800 of 2000 octets wait: a third finds no room"
    assert [(at, way) for at, way, _ in drained(link)] == [
        (900_000, True),
        (900_000, False),
        (1_800_000, True),
    ]


def test_a_duty_cycle_lets_wait_until_the_link_is_up() -> None:
    link = a_link(DutyCycle(60 * S, 5 * S, offset_us=10 * S))
    for at_s in (12, 15, 69, 71):
        link.put(b"%d" % at_s, True, at_s * S)
    assert [(at // S, octets) for at, _, octets in drained(link)] == [
        (12, b"12"),
        (70, b"15"),
        (70, b"69"),
        (71, b"71"),
    ]


def test_reordering_lets_others_overtake_and_loses_nothing() -> None:
    link = a_link(Reordering(30, Random(3)))
    sent = [bytes([n]) for n in range(50)]
    for n, octets in enumerate(sent):
        link.put(octets, True, n * S)
    found = [octets for _, _, octets in drained(link)]
    assert sorted(found) == sent and found != sent


def test_loss_and_repetition_are_by_percent() -> None:
    for wrapper, low, high in (
        (Loss(30, Random(1)), 640, 760),
        (Repetition(30, Random(1)), 1240, 1360),
    ):
        link = a_link(wrapper)
        for _ in range(1000):
            link.put(b"x", True, 0)
        assert low < len(link.arrived(0)) < high


@given(st.binary(min_size=1, max_size=60), st.integers(0, 99))
def test_corruption_flips_exactly_one_bit(octets: bytes, seed: int) -> None:
    link = a_link(Corruption(100, Random(seed)))
    link.put(octets, True, 0)
    [(_, found)] = link.arrived(0)
    wrong = int.from_bytes(octets, "big") ^ int.from_bytes(found, "big")
    assert len(found) == len(octets) and wrong.bit_count() == 1


def test_a_muted_node_still_answers_but_reports_no_more() -> None:
    link = a_link(Muted())
    question = request([READ_1])
    report = build_apdu(Envelope(1, HOST, METER, qualifier=NOTIFICATION), [READ_1])
    for octets in (report, question, b"no apdu"):
        link.put(octets, True, 0)
    link.put(report, False, 0)
    assert link.arrived(0) == [(True, question), (True, b"no apdu"), (False, report)]
    assert link.lost == 1


@given(
    st.lists(st.sampled_from(sorted(MAKERS)), max_size=6),
    st.lists(st.tuples(st.integers(0, 5 * S), st.booleans(), st.binary(min_size=1, max_size=40))),
    st.integers(0, 1 << 20),
)
def test_any_stack_keeps_time_counts_what_is_lost_and_repeats_by_seed(
    names: list[str], puts: list[tuple[int, bool, bytes]], seed: int
) -> None:
    runs = []
    for _ in range(2):
        chance, now_us = Random(seed), 0
        link = a_link(*(MAKERS[name](chance) for name in names))
        for wait_us, outward, octets in puts:
            now_us += wait_us
            link.put(octets, outward, now_us)
        found = drained(link)
        instants = [at for at, _, _ in found]
        assert instants == sorted(instants)
        if "repetition" not in names:
            assert len(found) + link.lost == len(puts)
        runs.append(found)
    assert runs[0] == runs[1]


@given(st.permutations(sorted(MAKERS)), st.integers(0, 100))
def test_wrappers_come_off_in_any_order_and_what_they_held_goes_on(
    order: list[str], seed: int
) -> None:
    chance = Random(seed)
    wrappers = {name: make(chance) for name, make in MAKERS.items() if name != "partition"}
    link = a_link(*wrappers.values())
    for n in range(30):
        link.put(bytes([n]), True, n * 1000)
    for name in order:
        if name in wrappers:
            link.unwrap(wrappers[name], 40_000)
    assert link.wrappers == ()
    found = link.arrived(40_000)
    assert link.deadline_us() is None and len(found) + link.lost >= 30
    link.put(b"whole", False, 41_000)
    assert link.arrived(41_000) == [(False, b"whole")]


def test_all_that_settings_ask_for_is_wrapped() -> None:
    settings = LinkSettings(1, 1, 1, 1200, 100, 60 * S, S, 1, 1, 1)
    kinds = [type(wrapper).__name__ for wrapper in Link(settings, Random(1)).wrappers]
    assert kinds == [
        "Latency",
        "Rate",
        "DutyCycle",
        "Reordering",
        "Repetition",
        "Corruption",
        "Loss",
    ]


def test_an_area_fault_strikes_every_link_until_it_is_mended() -> None:
    links = {name: a_link() for name in ("a", "b", "c")}
    fault = Area(links).strike(lambda name: Partition())
    for link in links.values():
        link.put(b"x", True, 0)
    assert [link.arrived(0) for link in links.values()] == [[], [], []]
    for _ in range(2):
        fault.mend(1)
    for link in links.values():
        link.put(b"y", True, 1)
    assert [link.arrived(1) for link in links.values()] == [[(True, b"y")]] * 3
    assert [link.lost for link in links.values()] == [1, 1, 1]


@pytest.mark.parametrize("looks_us", [7_000, 250_000, 60 * S])
def test_what_arrives_does_not_depend_on_how_often_a_link_is_looked_at(looks_us: int) -> None:
    link = a_link(Latency(20_000, 90_000, Random(1)), Rate(9600), Reordering(20, Random(2)))
    patient = a_link(Latency(20_000, 90_000, Random(1)), Rate(9600), Reordering(20, Random(2)))
    found = []
    for at_us in range(0, 30 * S, 1000):
        if at_us % 300_000 == 0:
            link.put(b"%d" % at_us, True, at_us)
            patient.put(b"%d" % at_us, True, at_us)
        if at_us % looks_us == 0:
            found += [octets for _, octets in link.arrived(at_us)]
    found += [octets for _, octets in link.arrived(60 * S)]
    assert found == [octets for _, _, octets in drained(patient)] and len(found) == 100
