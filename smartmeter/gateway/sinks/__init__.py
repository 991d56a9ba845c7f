"""Where a gateway's readings go beside the TMS; each sink goes on from a cursor of its own.

The files, in reading order: ``settings`` (which there are), ``csv_file``, ``mqtt``, ``influx``;
``home_assistant`` (what that is told, as values), ``statistics`` (its history, without a step)
and ``statistics_link`` (its websocket).
"""
