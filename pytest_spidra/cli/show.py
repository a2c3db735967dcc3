"""``show`` and ``script``: what a cassette holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_spidra.cli.troubles import TroubleError

if TYPE_CHECKING:
    import argparse

    from pytest_spidra.cassettes.recording import Recording


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    for name, help, run in (  # noqa: A001 - as argparse calls it
        ("show", "print the timeline of a cassette", _show),
        ("script", "print the script that makes spidra_mock behave as recorded", _script),
    ):
        parser = commands.add_parser(name, help=help)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.set_defaults(run=run)


def _show(arguments: argparse.Namespace) -> int:
    from pytest_spidra.cassettes.shown import shown

    print(shown(_read(arguments.file)))
    return 0


def _script(arguments: argparse.Namespace) -> int:
    from pytest_spidra.cassettes.drift.script import script_of

    print(script_of(_read(arguments.file)))
    return 0


def _read(file: Path) -> Recording:
    from pytest_spidra.cassettes.errors import CassetteError
    from pytest_spidra.cassettes.format import format_of

    try:
        return format_of(file).read(file)
    except CassetteError as error:
        raise TroubleError(str(error)) from error
