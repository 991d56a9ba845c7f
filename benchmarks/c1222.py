"""C12.22: EAX' against a naive one, a TMS that stores against an epoll loop that echoes.

``eax_vs_naive_*``: messages sealed a second, per-key cipher object against key
schedule, D and Q for every message and a fresh cipher object for every pass;
same library, same header.  ``server_vs_epoll``: authenticated reports decoded,
stored durably with group commit and acknowledged, per processor second of the
server, against a bare epoll loop that echoes the same octets.  ``least_vs_epoll``
is the same for that loop when it only reads, opens, stores and answers reports,
with none of a TMS's rules.  All servers are processes of their own and are given
the same pre-built messages by the same load generator, one report under way on
each connection, in turns; medians.
``generator_busy`` shows that the generator is not the limit.

``python benchmarks/c1222.py [--rounds N] [--reports N] [--json]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from c1222_load import measure_server
from naive_eax import NaiveEaxPrime

from protocols.c1222.security import EaxPrime

HEADER_OCTETS = 63
LIMITS = {
    "eax_vs_naive_100b": 4.5,
    "eax_vs_naive_1k": 3.5,
    "server_vs_epoll": 0.12,
}
MAX_IDLE_CONNECTION_OCTETS = 8192
_MESSAGES = 2000


def eax_ratio(octets: int, rounds: int) -> float:
    """Give how many times faster a per-key object seals, in interleaved rounds."""
    key, header, plain = bytes(range(16)), bytes(HEADER_OCTETS), bytes(octets)
    kept = EaxPrime(key)
    assert kept.seal(header, plain) == NaiveEaxPrime(key).seal(header, plain)
    ratios = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        for _ in range(_MESSAGES):
            NaiveEaxPrime(key).seal(header, plain)
        naive_ns = time.process_time_ns() - begin
        begin = time.process_time_ns()
        for _ in range(_MESSAGES):
            kept.seal(header, plain)
        ratios.append(naive_ns / (time.process_time_ns() - begin))
    return statistics.median(ratios)


def main() -> None:
    """Print the figures; status 1 when a limit is not met."""
    parser = argparse.ArgumentParser(description="C12.22 against peers in the same run.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--reports", type=int, default=12_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures: dict[str, float] = {
        "eax_vs_naive_100b": round(eax_ratio(100, 3 * arguments.rounds), 2),
        "eax_vs_naive_1k": round(eax_ratio(1024, 3 * arguments.rounds), 2),
    }
    figures |= measure_server(arguments.reports, arguments.rounds)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")
    met = all(figures[name] >= limit for name, limit in LIMITS.items())
    if not met or figures["idle_connection_bytes"] > MAX_IDLE_CONNECTION_OCTETS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
