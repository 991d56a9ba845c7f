"""Whatever octets are written into whatever table: refused, or a legal meter that goes on."""

from random import Random

import pytest

from protocols.c1218.server import Refused
from smartmeter.meter.profiles import PROFILES, profile_named
from tests.smartmeter.meter.bench import HOUR_US, Bench, exact

WRITES = 25


def procedure_call(chance: Random, order: str) -> bytes:
    """Draw an image of ST-07: any procedure with any parameters."""
    number = chance.randrange(40).to_bytes(2, order)  # type: ignore[arg-type]
    return number + b"\x01" + chance.randbytes(chance.choice((0, 1, 1, 3, 6, 8)))


def drawn_write(chance: Random, bench: Bench) -> tuple[int, bytes]:
    """Draw a table and an image: its own with some octets changed, perhaps cut, perhaps pending."""
    formats = bench.meter.program.formats
    number = chance.choice(sorted(formats.std_tbls_write))
    if number == 7:
        return 7, procedure_call(chance, formats.data_order)
    image = bytearray(bench.meter.table(number, bench.now_us))
    for _ in range(chance.randrange(3) if image else 0):
        image[chance.randrange(len(image))] = chance.choice((0, 1, 2, 255, chance.randrange(256)))
    data = bytes(image[:-1] if chance.random() < 0.1 else image)
    if chance.random() < 0.15:
        event = chance.choice((b"\0", b"\1", b"\2")) + chance.randbytes(5)
        return number | 0x1000, event + data
    return number, data


def survives(seed: int) -> int:
    """Write at random; gives how many writes were taken."""
    chance = Random(f"writes/{seed}")
    name = chance.choice([*PROFILES, "random"])
    bench = Bench(profile_named(name, chance.randrange(1000)))
    bench.wait(HOUR_US)
    taken = 0
    for _ in range(WRITES):
        before = dict(bench.meter.images)
        number, data = drawn_write(chance, bench)
        try:
            bench.meter.write_table(number, data, bench.now_us)
            taken += 1
        except Refused:
            assert bench.meter.images == before, f"seed {seed}: a refusal changed something"
        bench.wait(chance.choice((1, 60_000_000, HOUR_US)))
        if chance.random() < 0.1:
            bench.start()
    exact(bench.snapshot())
    return taken


def test_any_write_is_refused_or_leaves_a_legal_meter() -> None:
    assert sum(survives(seed) for seed in range(6)) > 20


@pytest.mark.night
def test_a_thousand_meters_survive_any_writes() -> None:
    for seed in range(100, 1100):
        survives(seed)
