"""``python -m smartmeter`` is the command line."""

from smartmeter.cli import main

main()
