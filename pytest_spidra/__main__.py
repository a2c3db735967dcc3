"""``python -m pytest_spidra``."""

from __future__ import annotations

import sys

from pytest_spidra.cli import main

if __name__ == "__main__":
    sys.exit(main())
