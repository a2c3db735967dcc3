"""``spidra-cassette``: look into cassettes, and check them in CI."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_spidra.cassettes.drift.mirror import drift_of
from pytest_spidra.cassettes.drift.script import script_of
from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.reading import stored_interactions
from pytest_spidra.fake.serializers import date
from pytest_spidra.secrets.search import find_secrets
from pytest_spidra.traffic import timeline
from pytest_spidra.traffic.log import ExchangeLog
from pytest_spidra.traffic.statuses import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_spidra.cassettes.recording import Recording

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What stands behind the program's name; None: those of this process.

    Returns:
        The exit status: 0; 1 when `check` found something; 2 when there is nothing to look at.
    """
    parser = argparse.ArgumentParser(
        prog="spidra-cassette", description="Looks into cassettes of Spidra's batch API."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    show = commands.add_parser("show", help="print the timeline of a cassette")
    show.add_argument("file", type=Path, metavar="FILE")
    check = commands.add_parser(
        "check",
        help="look for secrets, unreadable and left files, and unfinished batches",
        description="Looks for secrets, unreadable files, files that a killed recording has left, and unfinished batches. "
        "Exits with 1 when there is one, and with 2 when there is nothing to look at.",
    )
    check.add_argument(
        "paths",
        type=Path,
        metavar="PATH",
        nargs="*",
        default=[Path("cassettes")],
        help="a cassette, or a folder of cassettes (default: cassettes)",
    )
    check.add_argument(
        "--allow-unfinished",
        action="store_true",
        help="take batches that were still pending or running when the recording ended",
    )
    check.add_argument(
        "--against-fake",
        action="store_true",
        help="put every exchange to the fake, driven into the recorded state, and tell in what it would answer otherwise",
    )
    script = commands.add_parser("script", help="print the script that makes spidra_mock behave as recorded")
    script.add_argument("file", type=Path, metavar="FILE")
    chosen = parser.parse_args(arguments)
    if chosen.command == "show":
        return _show(chosen.file)
    if chosen.command == "script":
        return _script(chosen.file)
    return _check(chosen.paths, allow_unfinished=chosen.allow_unfinished, against_fake=chosen.against_fake)


def _show(file: Path) -> int:
    try:
        recording = _format(file).read(file)
    except CassetteError as error:
        return _trouble(str(error))
    _print(f"{file}: {_counted(len(recording.interactions), 'exchange')}{_recorded(recording)}")
    if recording.others:
        _print(f"{_counted(recording.others, 'interaction')} with something else left out")
    if recording.interactions:
        _print()
        _print(timeline.render(log_of(recording), most=sys.maxsize))
    return 0


def _script(file: Path) -> int:
    try:
        recording = _format(file).read(file)
    except CassetteError as error:
        return _trouble(str(error))
    _print(script_of(recording))
    return 0


def _recorded(recording: Recording) -> str:
    hosts = Counter(urlsplit(one.stored.uri).netloc for one in recording.interactions)
    where = f" with {', '.join(hosts)}" if hosts else ""
    when = "" if recording.began_at is None else f", recorded {date(recording.began_at, 'seconds')}"
    return where + when


def _check(paths: Sequence[Path], *, allow_unfinished: bool, against_fake: bool) -> int:
    files: list[Path] = []
    left: list[Path] = []
    for path in paths:
        if not path.exists():
            return _trouble(f"there is no {path}")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found = [one for one in inside if one == path or _is_cassette(one)]
        if not found:
            return _trouble(f"there is no cassette in {path}: a check of nothing shows nothing")
        files += found
        left += [one for one in inside if _is_left(one)]
    problems = 0
    for file in files:
        for problem in _problems(file, allow_unfinished=allow_unfinished, against_fake=against_fake):
            _print(f"{file}: {problem}")
            problems += 1
    for file in left:
        _print(f"{file}: left by a recording that was killed: delete it")
        problems += 1
    _print(
        f"{_counted(len(files), 'cassette')} checked, {_counted(problems, 'problem') if problems else 'all good'}"
    )
    return 1 if problems else 0


def _is_cassette(file: Path) -> bool:
    return file.is_file() and file.suffix in SUFFIXES and not file.name.startswith(".")


def _is_left(file: Path) -> bool:
    return file.name.startswith(".") and file.suffix == ".tmp" and bool(SUFFIXES & set(file.suffixes))


def _problems(file: Path, *, allow_unfinished: bool, against_fake: bool) -> Iterator[str]:
    try:
        pairs = stored_interactions(file)
        for number, (request, response) in enumerate(pairs, 1):
            for found in find_secrets(number, request, response):
                yield f"{found.where}: {found.what}"
        recording = _format(file).read(file)
    except CassetteError as error:
        yield " ".join(str(error).removeprefix(f"{file}").lstrip(":, ").split())
        return
    if not allow_unfinished:
        for batch_id, status in unfinished(recording).items():
            yield (
                f"batch {batch_id} was {status} when the recording ended: what became of it nobody knows "
                "(--allow-unfinished takes it)"
            )
    if against_fake:
        yield from map(str, drift_of(recording))


def unfinished(recording: Recording) -> dict[str, str]:
    """Return the batches that had not ended when the recording did, with the last that is known of them."""
    known: dict[str, str] = {}
    for one in recording.interactions:
        exchange = one.exchange
        if exchange.batch_id is None or exchange.failed:
            continue
        body = exchange.seen_json if isinstance(exchange.seen_json, dict) else {}
        if exchange.is_look:
            known[exchange.batch_id] = str(body.get("status"))
        elif exchange.is_cancel:
            known[exchange.batch_id] = "cancelled"
        else:
            known[exchange.batch_id] = "pending" if exchange.is_submit else "running"
    return {batch_id: status for batch_id, status in known.items() if status not in TERMINAL}


def log_of(recording: Recording) -> ExchangeLog:
    """Return a recording as a log, as if it had just been played."""
    log = ExchangeLog(began_at=recording.began_at or 0)
    flying: dict[int, list[tuple[float, int]]] = {}
    for one in recording.interactions:
        exchange, times = one.exchange, one.times
        log.begin(one.request, exchange.endpoint, exchange.batch_id, exchange.sent_at, None)
        log.answered(one.number, one.reply)
        seen_at = exchange.seen_at or 0.0
        known = min(max(times.known, one.number), len(recording.interactions)) if times else one.number
        flying.setdefault(known, []).append((seen_at, one.number))
        for at, number in sorted(flying.pop(one.number, [])):
            log.seen(number, recording.interactions[number - 1].reply, at)
    return log


def _format(file: Path) -> Format:
    return Format({"serializer": "json"} if file.suffix == ".json" else {})


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _print(text: str = "") -> None:
    print(text)


def _trouble(text: str) -> int:
    print(f"spidra-cassette: {text}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
