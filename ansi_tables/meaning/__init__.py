"""From octets to meaning: quantities with units, and instants.

The modules here read a :class:`~ansi_tables.snapshot.Snapshot`, whose methods (``registers()``,
``load_profile()``, ``events()``, ``clock()`` and others) are the way in.
"""
