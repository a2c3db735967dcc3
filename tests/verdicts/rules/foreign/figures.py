"""Run the table of foreign clients and print how often each rule was right, false and missing.

    python tests/verdicts/rules/foreign/figures.py [--cells] [NAME…]

``--cells`` lists every cell that differs; names restrict the clients.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cell import RULES, run_cell
from expectations import CAREFUL, CARELESS, expected, fits
from weather import SCRIPTS

URLS = [f"https://shop.example/{n}" for n in range(1, 7)]


def main(*arguments):
    """Print the figures; return how many cells differ."""
    logging.disable()
    names = [one for one in arguments if not one.startswith("-")]
    clients = {name: one for name, one in {**CAREFUL, **CARELESS}.items() if not names or name in names}
    right, false, missed, differing = Counter(), Counter(), Counter(), []
    accused_though_careful = Counter()
    for name, client in clients.items():
        for script in SCRIPTS:
            with contextlib.redirect_stdout(io.StringIO()):
                cell = run_cell(client, SCRIPTS[script], URLS)
            wanted = expected(name, script)
            left = set(cell.found)
            for deed in wanted:
                hit = sorted(deed & left)[:1]
                right.update(hit)
                left -= set(hit)
                if not hit:
                    missed.update(["|".join(sorted(deed))])
            false.update(left)
            if left and name in CAREFUL:
                accused_though_careful.update(left)
            if not fits(cell.found, wanted):
                differing.append((name, script, wanted, cell))
    if "--cells" in arguments:
        for name, script, wanted, cell in differing:
            meant = " + ".join("|".join(sorted(deed)) for deed in wanted) or "-"
            print(f"{name:45} {script:36} expected {meant}, found {' + '.join(sorted(cell.found)) or '-'}")
        print()
    print(f"{'rule':40} {'right':>6} {'false':>6} {'missed':>6} {'of the careful':>15}")
    for rule in [*RULES, *(rule for rule in missed if "|" in rule)]:
        print(f"{rule:40} {right[rule]:6} {false[rule]:6} {missed[rule]:6} {accused_though_careful[rule]:15}")
    totals = [sum(one.values()) for one in (right, false, missed, accused_though_careful)]
    print(f"{'total':40} {totals[0]:6} {totals[1]:6} {totals[2]:6} {totals[3]:15}")
    cells = len(clients) * len(SCRIPTS)
    print(
        f"\n{len(clients)} clients ({sum(name in CAREFUL for name in clients)} careful) under {len(SCRIPTS)} scripts: "
        f"{len(differing)} of {cells} cells differ"
    )
    return len(differing)


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
