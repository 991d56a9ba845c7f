"""Simulated meters and fleets: real meter, module and head-end code in virtual or real time.

The files, in reading order:

*One SmartMeter*: ``smart_meter`` (meter, line and module as one machine), ``optical_line``,
``direct_door`` (the same without a line), ``plain_meter`` (without a module),
``telephone_meter``.

*In virtual time*: ``world`` (few actors), ``agenda`` (many), ``fleet`` (``smartmeter fleet``: one
clock, one seed), ``house`` (one of its SmartMeters), ``swarm`` (the seed's own faults),
``checks`` (what must never be), ``count`` (what it came to), ``memory_store``, ``link_capture``,
``polling`` (``compare-polling``).

*In real time*: ``street`` and ``demo`` (``smartmeter demo``), ``served_fleet`` and ``fleet_keys``
(``fleet serve``, for a head-end of another make).

*Broken from outside*: ``actions`` (what can be asked, checked), ``control`` and ``breakable``
(``meter serve``), ``fleet_control`` and ``breakable_node`` (``fleet serve``), ``scenario``.
"""
