"""A property of one's own, on any meter: a slice of a table is a slice of the table.

On a real meter put the test into a file and run  pytest --meter /dev/ttyUSB0
with the fixtures of smartmeter.conformance; here the meter is simulated.  Both need the extra
[conformance]: pip install ".[conformance]" in the repository.
"""

import time

from hypothesis import given, settings

from protocols.transports.memory import MachinePort
from protocols.transports.pump import MeterPort, monotonic_us
from smartmeter.conformance import strategies
from smartmeter.meter.meter import MeterSettings
from smartmeter.meter.sample import measured_meter

simulated = measured_meter(MeterSettings(), int(time.time() * 1e6), monotonic_us())
tried = 0

with MeterPort(MachinePort(simulated, monotonic_us)) as meter:
    whole = meter.read(1)

    @settings(max_examples=25, deadline=None, database=None)
    @given(strategies.offset_reads(table=1, size=len(whole), beyond=0))
    def a_slice_is_a_slice(request) -> None:  # type: ignore[no-untyped-def]
        global tried
        tried += 1
        found = meter.read_part(request.table, request.offset, request.count)
        assert found == whole[request.offset : request.offset + request.count]

    a_slice_is_a_slice()

print(f"{tried} slices of ST-01 are slices of ST-01")
