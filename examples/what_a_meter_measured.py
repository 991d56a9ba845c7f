"""Registers, load profile and events of a meter in its own units and time, from an image.

``smartmeter clone PORT meter.json`` makes such an image of a real meter; this
one was made up for the documentation.
"""

from pathlib import Path

from ansi_tables import Snapshot

IMAGE = Path(__file__).parents[1] / "docs" / "c1219" / "example_meter.json"
meter = Snapshot.from_json(IMAGE.read_text())

print("clock   ", meter.clock().now)
for register in meter.registers().where(tier=None):
    print("register", register)

profile = meter.load_profile()
for channel in profile.channels:
    bad = sum(1 for status in channel.statuses if status)
    total = sum(value for value in channel.values if value is not None)
    print("channel ", channel.name, total, channel.unit, f"({bad} intervals not ok)")

for event in meter.events():
    print("event   ", event)
