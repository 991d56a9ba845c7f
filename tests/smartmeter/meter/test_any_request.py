"""Any request to a meter, with every right, is answered by a code; nothing else comes out."""

from random import Random

import pytest

from protocols.c1218.session import State
from protocols.psem.codec import block
from protocols.psem.codes import ResponseCode
from smartmeter.meter.profiles import PROFILES, profile_named
from tests.smartmeter.meter.bench import HOUR_US, Bench

PASSWORD = b"master".ljust(20)
REQUESTS = 60
#: Requests that end the session.
ENDS = (0x21, 0x52)


def drawn_request(chance: Random, bench: Bench) -> bytes:
    """Draw a read, write or procedure, of tables that are there, wait or are none."""
    formats = bench.meter.program.formats
    there = chance.choice(sorted(formats.std_tbls_used | {7, 8}))
    table = chance.choice((there, there, there | 0x1000, chance.randrange(1 << 16)))
    image = bench.meter.images.get(table & 0x0FFF, b"\1\2\3")
    data = bytearray(image[: chance.choice((1, 2, 20, len(image)))])
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)
    written = block(chance.choice((b"", b"\2hello")) + bytes(data))
    name = table.to_bytes(2, "big")
    offset = chance.choice((0, 1, len(image), 0xFFFFFF)).to_bytes(3, "big")
    count = chance.choice((0, 1, 5, 0xFFFF)).to_bytes(2, "big")
    depth = chance.randrange(1, 5)
    indices = b"".join(chance.choice((0, 1, 2, 9)).to_bytes(2, "big") for _ in range(depth))
    procedure = chance.randrange(33) | chance.choice((0, 0, 1, 9)) << 12
    call = procedure.to_bytes(2, formats.data_order) + chance.randbytes(chance.randrange(9))
    return chance.choice(
        (
            b"\x30" + name,
            b"\x3f" + name + offset + count,
            bytes([0x30 + depth]) + name + indices + count,
            b"\x40" + name + written,
            b"\x4f" + name + offset + written,
            bytes([0x40 + depth]) + name + indices + written,
            b"\x40\0\7" + block(call),
            chance.randbytes(chance.randrange(1, 40)),
        )
    )


def answers_all(seed: int) -> None:
    chance = Random(f"requests/{seed}")
    bench = Bench(profile_named(chance.choice([*PROFILES, "random"]), seed))
    bench.wait(HOUR_US)
    server = bench.meter._server
    for _ in range(REQUESTS):
        server.state = State.SESSION
        server._device.security(PASSWORD, bench.now_us)
        request = drawn_request(chance, bench)
        if request[0] not in ENDS:
            code = server._respond(request, bench.now_us).code
            assert code <= ResponseCode.isss, (seed, request.hex())
        if chance.random() < 0.1:
            bench.wait(chance.choice((60_000_000, HOUR_US)))


def test_any_request_is_answered_by_a_code() -> None:
    for seed in range(6):
        answers_all(seed)


@pytest.mark.night
def test_a_thousand_meters_answer_any_request() -> None:
    for seed in range(100, 1100):
        answers_all(seed)
