"""C12.18, the optical port: what client and device do above the link.

``steps``, ``scripts``, ``transfer`` and ``conversation`` say what a client does, as generators
that ask and get answers; ``client`` runs them, with ``grant`` (what was negotiated) and
``awaited`` (an answer that is due).  ``session`` is the table of states, ``device`` what a meter
must offer, ``server`` the machine that serves it.
"""
