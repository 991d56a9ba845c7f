"""C12.22 / IEEE 1703, the network: messages between nodes, each with its title.

* A message: ``ap_title``, ``envelope`` (octets to elements), ``builder`` (elements to octets),
  ``services`` and ``registration`` (what is inside), ``segmentation``, ``dissection`` (in words).
* Its security: ``security`` (EAX'), ``keys``, ``locks`` (for what a node sends), ``guard``
  (against guessed MACs).
* A node: ``node`` sends requests (``transactions``) and gives what comes (``reception``) to its
  host; ``server`` is the device on it (``access``, ``sessions``); ``registrant`` registers it.
* A relay: ``relay`` forwards by ``routes``, ``ways``, ``answers_due``, ``waiting``,
  ``group_messages`` and ``passages``, and learns from ``shown_titles``; ``relay_services`` and
  ``registrar`` are what it serves itself.
* What carries messages: ``stream`` (TCP), ``datagrams`` (UDP), ``local_port`` (to a module).
"""
