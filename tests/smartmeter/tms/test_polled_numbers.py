"""What a plain meter's load profile holds that is no whole number."""

import pytest

from ansi_tables import Snapshot
from ansi_tables.profile_blocks import shape_of
from protocols.psem.codec import block, decode_request, table_data
from protocols.psem.services import FullRead
from smartmeter.meter.optical_port import OpticalPort
from smartmeter.tms.exchanges import ExchangeFailed
from tests.smartmeter.tms.polling import Bench, flat


class OddBench(Bench):
    """A meter that writes its counts as text; in the third interval from the end it is ``odd``."""

    odd = b" " * 12

    def answer(self, octets: bytes) -> bytes:
        answer = super().answer(octets)
        if decode_request(octets) != FullRead(64):
            return answer
        tables = {table: OpticalPort(self.meter).read(table, self.now_us) for table in (0, 61, 62)}
        shape = shape_of(Snapshot(tables).layout(64), 1)
        assert shape is not None
        image = bytearray(table_data(answer[1:]))  # in one block, the newest interval first
        at = shape.interval(0, 2) + shape.status_octets
        image[at : at + 12] = self.odd
        return b"\0" + block(bytes(image))


@pytest.mark.parametrize("odd", [b" " * 12, b"         1.5"])
def test_an_interval_that_holds_no_whole_number_is_left_out_and_costs_no_other(odd: bytes) -> None:
    plain, bench = Bench("unusual"), OddBench("unusual")
    bench.odd = odd
    plain.run(4)
    bench.run(4)
    everything = flat(plain.poll(1))
    assert flat(bench.poll(1)) == everything[:-3] + everything[-2:]


class VastBench(Bench):
    """A meter that tells of blocks of 60,000 intervals."""

    def answer(self, octets: bytes) -> bytes:
        answer = super().answer(octets)
        if decode_request(octets) != FullRead(61):
            return answer
        tables = {0: OpticalPort(self.meter).read(0, self.now_us), 61: table_data(answer[1:])}
        layout = Snapshot(tables).layout(61)
        told = {**layout.decode(tables[61]), "NBR_BLKS_SET1": 4, "NBR_BLK_INTS_SET1": 60_000}
        return b"\0" + block(layout.encode(told))


def test_a_profile_whose_blocks_are_longer_than_a_read_is_read_as_a_whole() -> None:
    bench = VastBench()
    bench.run(4)
    with pytest.raises(ExchangeFailed, match="the load profile of the meter: ST-64"):
        bench.poll(1)
    assert FullRead(64) in bench.asked
