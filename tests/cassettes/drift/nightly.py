"""Whether the fake is true: record the examples with the real API, and put what was recorded to the fake.

Needs a key in ``SPIDRA_API_KEY`` and spends credits, a page for each URL of the examples. Without a key it does nothing.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def main(folder):
    """Record into `folder` and check; return the exit status."""
    if not os.environ.get("SPIDRA_API_KEY"):
        print("no SPIDRA_API_KEY: nothing is recorded, nothing is checked")
        return 0
    cassettes = Path(folder) / "cassettes"
    record = [
        "pytest",
        "tests/examples/test_record_and_replay.py",
        "--spidra-record=all",
        "-o",
        f"spidra_cassette_dir={cassettes}",
    ]
    check = ["pytest_spidra", "check", "--against-fake", "--allow-unfinished", cassettes]
    # What was recorded is checked although a test has failed: its failure may be the drift.
    return max(_run(*record), _run(*check))


def _run(*command):
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode  # noqa: S603 - our own commands


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
