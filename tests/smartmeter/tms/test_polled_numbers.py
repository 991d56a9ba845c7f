"""What a plain meter's load profile holds that is no number."""

from ansi_tables import Snapshot
from ansi_tables.profile_blocks import shape_of
from protocols.psem.codec import block, decode_request, table_data
from protocols.psem.services import FullRead
from smartmeter.meter.optical_port import OpticalPort
from tests.smartmeter.tms.test_polled import Bench, flat


class BlankBench(Bench):
    """A meter that writes its counts as text; the third interval from the end is blank there."""

    def answer(self, octets: bytes) -> bytes:
        answer = super().answer(octets)
        if decode_request(octets) != FullRead(64):
            return answer
        tables = {table: OpticalPort(self.meter).read(table, self.now_us) for table in (0, 61, 62)}
        shape = shape_of(Snapshot(tables).layout(64), 1)
        assert shape is not None
        image = bytearray(table_data(answer[1:]))  # in one block, the newest interval first
        at = shape.interval(0, 2) + shape.status_octets
        image[at : at + 12] = b" " * 12
        return b"\0" + block(bytes(image))


def test_an_interval_that_holds_no_number_is_left_out_and_costs_no_other() -> None:
    plain, bench = Bench("unusual"), BlankBench("unusual")
    plain.run(4)
    bench.run(4)
    everything = flat(plain.poll(1))
    assert flat(bench.poll(1)) == everything[:-3] + everything[-2:]
