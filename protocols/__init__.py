"""C12.18, C12.21 and C12.22 as machines without I/O, and the ports that carry them.

From the bottom up; nothing imports what stands below it in this list (``setup.cfg``):

==================== =====================================================================
``errors``           what a caller may meet, as one tree
``machine``          what all machines are: octets and instants in, octets and events out
``shown_by_repr``    what shows none of its secrets in reports of failing properties
``crc``, ``quirks``  the checksum of packets; what real meters do differently, by number
``datalink``         packets of C12.18, and the link that acknowledges and repeats them
``psem``             requests and answers as values and as octets
``modem``            AT commands, calls and short messages
``c1218``            client and device of an optical port
``c1222``            nodes, relays and registrars of a network
``c1221``            what a telephone call changes of C12.18
``transports``       the only package with sockets, serial ports and a clock
==================== =====================================================================

To read a meter begin with :func:`protocols.transports.pump.open_meter`.
"""
