"""The conformance bench: what a user points at *their* meter, and what others build on.

``smartmeter conformance PORT`` runs it; ``pytest --meter PORT`` gives its fixtures;
:mod:`smartmeter.conformance.strategies` draws packets, services, sessions and faults for
properties of one's own.  Strategies, drawn sessions and the fixtures need the extra
``smartmeter[conformance]``; the checks themselves need nothing but the core.
"""
