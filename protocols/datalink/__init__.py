"""The data link of C12.18 and C12.21: packets, acknowledgments and repetitions.

``packet`` is one as a value, ``parser`` finds them, ``assembly`` makes messages of them,
``outgoing`` holds what must wait, ``link`` is the machine, ``timing`` has its time-outs;
``copies``, ``checksum_order``, ``turn_around``, ``sleep`` and ``echo`` heed what real meters and
probes do.
"""
