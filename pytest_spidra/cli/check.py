"""``check``: cassettes, in CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_spidra.cli.troubles import TroubleError

if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="look for secrets, unreadable and left files, and unfinished batches",
        description="Looks for secrets, unreadable files, files that a killed recording has left, and unfinished batches. "
        "Exits with 1 when there is one, and with 2 when there is nothing to look at.",
    )
    parser.add_argument(
        "paths",
        type=Path,
        metavar="PATH",
        nargs="*",
        default=[Path("cassettes")],
        help="a cassette, or a folder of cassettes (default: cassettes)",
    )
    parser.add_argument(
        "--allow-unfinished",
        action="store_true",
        help="take batches that were still pending or running when the recording ended",
    )
    parser.add_argument(
        "--against-fake",
        action="store_true",
        help="put every exchange to the fake, driven into the recorded state, and tell in what it would answer otherwise",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print each problem; return 1 when there is one, else 0.

    Raises:
        TroubleError: There is nothing to look at.
    """
    from pytest_spidra.cassettes.checks import is_cassette, is_left, problems
    from pytest_spidra.cassettes.shown import counted

    files: list[Path] = []
    left: list[Path] = []
    for path in arguments.paths:
        if not path.exists():
            msg = f"there is no {path}"
            raise TroubleError(msg)
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found = [one for one in inside if one == path or is_cassette(one)]
        if not found:
            msg = f"there is no cassette in {path}: a check of nothing shows nothing"
            raise TroubleError(msg)
        files += found
        left += [one for one in inside if is_left(one)]
    count = 0
    for file in files:
        found_in_file = problems(
            file, allow_unfinished=arguments.allow_unfinished, against_fake=arguments.against_fake
        )
        for problem in found_in_file:
            print(f"{file}: {problem}")
            count += 1
    for file in left:
        print(f"{file}: left by a recording that was killed: delete it")
        count += 1
    print(f"{counted(len(files), 'cassette')} checked, {counted(count, 'problem') if count else 'all good'}")
    return 1 if count else 0
