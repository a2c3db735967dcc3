"""How long scrubbing takes: ``python tests/benchmarks/bench_scrubbing.py``.

Each row is a text of a kind that could make a search go over it again and again: milliseconds for 20,000 and for
80,000 characters, and their ratio, which is 4 where the time grows with the length and 16 where it grows with the
square.
"""

from __future__ import annotations

import time

from pytest_spidra.secrets.scrubber import Scrubber

KEY = "spd_" + "benchmark"
UNITS = (
    *("\\", "%25", "[", '"', '\\"', "bearer+", "bearer ", "+", "?sig=", "&", "spd_", "{", '"cookies":'),
    *('"screenshotUrl": "', KEY, "&#", "\0", "a", '\\\\\\"', "?a=1&X-Amz-Signature=2 "),
)


def seconds(unit, length):
    body = (unit * (length // len(unit))).encode()
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": body}}
    begun = time.perf_counter()
    Scrubber([KEY]).response(response)
    return time.perf_counter() - begun


def main():
    for unit in UNITS:
        short, long = (min(seconds(unit, length) for _ in range(3)) for length in (20_000, 80_000))
        print(f"{unit!r:<28} {short * 1e3:>8.2f} {long * 1e3:>8.2f}   x {long / short:.1f}")


if __name__ == "__main__":
    main()
