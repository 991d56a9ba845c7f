"""The TMS: the head-end that collects from SmartMeters, provisions them, and notices silence.

A map, in the order in which the files are best read; each says more at its head.

What is spoken of
    ``model`` (states, kinds of work, figures) and ``wording`` (the same for people); ``template``,
    the form of its JSON in ``template_form``, those before it in ``kept_templates``.
Which meters there are
    Lists as CSV (``csv_list``): SmartMeters in ``shipment``, plain meters in ``polled_list``.
    ``meters`` has titles and keys in memory, ``meter_contexts`` how each meter's tables are read.
Messages in and out
    ``collector`` is the TMS's C12.22 node: it reads reports (``report_reader``), answers other
    services (``service_answers``), keeps answers that wait (``open_answers``), and tells what came
    (``arrivals``).  ``asking`` has the requests under way, ``paths`` the way to each SmartMeter.
    ``source`` is what the head-end sees of it and of the plain meters alike; ``shell`` what the
    sockets tell of paths.
Work with one meter
    ``exchanges`` are scripts, services out and answers in, as are those of ``upgrades`` and
    ``key_changes``.  ``orders`` makes a script a job, ``jobs`` runs it, ``dispatch`` sends for it
    (``waking`` by short message), ``job_outcomes`` keeps what came of it, ``kept_images`` has the
    images that are being sent.
What follows by itself
    ``head_end`` joins all of it.  ``registrations``; ``report_groups``, each stored in one change
    (``commits``), then ``report_effects``: ``provisioning``, ``silence`` and ``standing``,
    ``lost_data`` after a backup; ``refusals``; ``retirement``.
Plain meters
    ``poll_plan`` says when, ``polled_source`` asks, ``poller`` has the sockets.  ``polled_reading``
    and ``polled_profile`` are the scripts, ``taking_over`` another meter at the same address.
The process
    ``server`` is the asyncio host; ``retention`` drops what is old.  ``service`` answers pages and
    API, with ``collected``, ``interval_channels``, ``alarm_list``, ``job_list``,
    ``fleet_upgrades``, ``topology``, ``users`` and ``metrics``.

``store`` holds all SQL that is more than a line, ``exports`` makes files, ``api`` and ``web`` are
the REST API and the pages.
"""
