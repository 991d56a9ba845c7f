"""What meter, module and head-end share: errors, instants, zones, memory, the SSI's due times.

Nothing here knows a port or a role; ``setup.cfg`` keeps roles from importing each other, so
what two of them must agree on (``provisioning``, ``tasks``) is here, as is how hosts and
command line tell what they found when they checked something (``finding``).
"""
