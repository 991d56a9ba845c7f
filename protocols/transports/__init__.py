"""Where machines meet time, sockets and serial ports; the rules of protocols are not here.

* A meter to read: ``pump`` (blocking), ``async_pump`` (asyncio), ``network_meter`` (C12.22, over
  ``network_line``).
* Ports: ``names`` finds one by its name; ``serial_port``, ``tcp``, ``modem_port``, ``memory``
  (a simulated meter) are what ``port`` describes; ``recording`` records and plays back.
* A machine to serve: ``serving``.  Messages to a node: ``apdu_connection``, ``answer_door``.
* Captures: ``capture`` and ``pcapng`` write; ``link_layers``, ``ip_reading``, ``tunnels`` and
  ``tcp_streams`` take others' apart.
"""
