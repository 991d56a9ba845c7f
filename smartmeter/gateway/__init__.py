"""``smartmeter gateway``: SSI modules on a Linux board, each at a meter's optical port.

The modules are those of ``smartmeter.ssi``; here is what they stand on: ports, files, sinks, the
service manager.  The files, in reading order:

*Running*: ``service`` (all that runs on one board), ``seat`` (one meter's place: its module,
started again after a fault), ``tapped_module`` (nothing leaves it that is not kept), ``probe``
(its port), ``seat_journal``, ``journal`` and ``words`` (what people are told), ``mains`` (is
there power).

*Keeping*: ``flash_file`` (non-volatile memory), ``readings`` (what was read: the source of the
sinks), ``report_rows`` (what a report becomes there), ``energy_totals``, ``database`` (its file),
``set_aside`` (what a medium has damaged), ``freshness``.

*Giving away*: ``outlets`` feeds the ``sinks``; ``status`` (what is told of each meter), its
``status_socket`` and ``metrics``; ``service_manager``; ``local_tms`` and ``local_page`` (a head-end
in the same process, where there is no other).

*Setting up*: ``setup`` (``gateway init``), ``settings`` and ``settings_file`` (the TOML file),
``permissions`` (what may be written to a meter); ``hindrances`` (what a start is refused for);
``checks`` (``gateway check``) with ``place_checks``, ``bearer_checks`` and ``meter_checks``.

*New versions*: ``launcher`` (starts what is to run), ``beginning`` (how it knows), ``slots``.
"""
