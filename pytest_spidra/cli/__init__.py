"""Serves the fake on a port, and looks into cassettes."""  # shown by --help

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_spidra.cli import check, serve, show
from pytest_spidra.cli.troubles import TroubleError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (serve, show, check)
PROGRAM = "python -m pytest_spidra"
ALIAS = "spidra-cassette"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 2 when it could not begin, with a sentence that says why.

    Args:
        arguments: What stands behind the program's name; None: those of this process.
    """
    called = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(prog=ALIAS if called == ALIAS else PROGRAM, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except TroubleError as trouble:
        print(f"pytest-spidra: {trouble}", file=sys.stderr)
        return 2
    return status
