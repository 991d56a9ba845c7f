"""SmartMeter: an autonomous ANSI meter, its network and its head-end.

``smartmeter.meter`` is the solid-state meter, ``smartmeter.ssi`` the module
beside it, ``smartmeter.tms`` the head-end.  They meet on the wire only.
"""
