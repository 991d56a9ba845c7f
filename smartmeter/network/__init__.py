"""The simulated network: links that are slow, lossy or cut, without I/O and by seed.

The files, in reading order: ``carrier`` (what takes APDUs and gives them again), ``link`` (a wire
in its wrappers), ``faults`` (the wrappers), ``area`` (faults of many links), ``relay_node`` (a
relay on its link), ``topology`` (who is linked with whom, as a picture).  Real bearers are in
``smartmeter.comms``.
"""
