"""The simulated meter, twins of real meters, and light meters by the thousand; no I/O.

* :class:`~smartmeter.meter.meter.Meter` measures and serves tables.  From the load (``loads``)
  to the tables: ``quantities``, ``metering`` with ``demand``, ``registers``, ``billing``,
  ``recorders`` with ``load_profile``; ``tables`` shows them, ``optical_port`` and ``access``
  say to whom.  ``program`` is what the configuration tables tell a meter to do.
* What else happens to it: ``clock`` and ``time_of_use``, ``trouble``, ``service_switch``,
  ``event_log``, ``procedures``, ``pending``, ``display``; ``memory`` is what outlives its power.
* :class:`~smartmeter.meter.twin.Twin` serves an ``image`` that ``cloning`` took of a real meter;
  ``living`` lets it run on, with ``living_profile`` and ``flown_energy``.
* ``light`` measures thousands of houses as arrays.  ``profiles`` are kinds of meters, as data.
"""
