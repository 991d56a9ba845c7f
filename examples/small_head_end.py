"""A head-end of one's own: it registers a SmartMeter and acknowledges its reports.

What is sent: docs/reports.rst.  A real one has a report on its disk before it says ok.
"""

import asyncio
import sys
import tempfile

from ansi_tables.ssi_tables import SsiTable, decode
from protocols.c1222.ap_title import ApTitle
from protocols.c1222.keys import TitleKeys
from protocols.c1222.node import Node, RequestArrived
from protocols.c1222.registration import Register
from protocols.c1222.services import decode_service, whole_write
from protocols.c1222.stream import ApduStream
from smartmeter.base.clock import monotonic_us, shared_calendar, wall_utc_us

METER, KEY, BASE = ApTitle.parse(".7.42"), bytes(range(16)), 4032
clock, keys, seen = f"{wall_utc_us() // 1_000_000},100", TitleKeys(), asyncio.Event()
keys.add(METER, KEY)
node = Node(ApTitle.parse(".1"), keys, shared_calendar(clock, wall_utc_us(), monotonic_us()))


def answer(octets: bytes) -> bytes:
    """Do what one service asks for; MalformedRequest has the code to refuse it with."""
    if isinstance(service := decode_service(octets), Register):
        return service.granted(METER, delay_s=0, period_s=86_400).encode()
    if (told := whole_write(octets)) and told[0] == BASE + SsiTable.LOAD_PROFILE_PART:
        print("intervals", decode(SsiTable.LOAD_PROFILE_PART, told[1])["INTERVALS"])
        seen.set()
    return b"\0"  # ok


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    stream = ApduStream()
    while data := await reader.read(65_536):
        for apdu in stream.feed(data):
            node.receive(writer, apdu, monotonic_us())
        for event in node.events():
            if isinstance(event, RequestArrived):
                node.answer(event.token, [answer(one) for one in event.services], monotonic_us())
        for connection, apdu in node.outgoing():
            connection.write(apdu)


async def main() -> None:
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    with tempfile.NamedTemporaryFile("w") as listed:
        print(f"esn,title,key,model\nSM000001,{METER},{KEY.hex()},-", file=listed, flush=True)
        verb = f"-m smartmeter fleet serve --template default --count 1 --clock {clock}"
        verb += f" --keys {listed.name} --connect 127.0.0.1:{server.sockets[0].getsockname()[1]}"
        fleet = await asyncio.create_subprocess_exec(sys.executable, *verb.split())
        await seen.wait()
        fleet.terminate()
        await fleet.wait()


asyncio.run(main())
