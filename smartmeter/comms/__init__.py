"""The communication device: bearers of C12.22 and their fail-over, and what a head-end listens
on.

The files, in reading order:

*What a bearer is*: ``way`` (as the node sees it), ``bearer`` (as it is set and opened),
``bearers`` (which there are), ``standing`` (what people are told of one).

*At a node*: ``node`` (runs it on its bearers), ``failover`` (which of them to open) by their
``bearer_health``, ``patience`` (how long an answer is awaited), ``stamps``.  The bearers:
``tcp``, ``udp``, ``listening`` (the host connects), ``mqtt``, ``sms``, ``dial_up``; below them
``task_connection`` and ``inbox``.

*At a head-end or relay*: ``listener`` (all sockets), ``paths`` (where an APDU came from),
``way_finder`` (how a node without a connection is reached), ``caller``, and ``carrier`` (what
brings APDUs beside sockets): ``mqtt_carrier``, ``answered_calls``, the modem in ``sms``.

*A relay*: ``relay_host``, ``registrations`` and ``known_ways`` (what it keeps).

*Below*: ``sockets``, ``datagrams``, ``mqtt_client``, ``mqtt_topics``, ``machine_line`` (a machine
on a port), ``event_loop``, ``metrics``; ``tls``, ``tls_door`` and ``tls_renewal``.
"""
