"""``smartmeter``, and ``python -m smartmeter``: the command line."""

import sys


def main() -> None:
    """Load and run the command line; Ctrl-C ends it quietly from its first import to its end."""
    try:
        from smartmeter.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell gives for a program that Ctrl-C ended


if __name__ == "__main__":
    main()
