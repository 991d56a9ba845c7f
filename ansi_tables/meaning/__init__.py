"""From octets to meaning: quantities with units, instants, and what changed.

The modules here read a :class:`~ansi_tables.snapshot.Snapshot`; its methods
``registers()``, ``load_profile()``, ``events()`` and ``clock()`` are the way in.
"""
