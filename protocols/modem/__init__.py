"""Modems behind AT commands: calls (``at``, ``answering``) and messages (``messages``, ``pdu``)."""
