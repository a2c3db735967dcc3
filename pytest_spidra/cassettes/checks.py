"""Checks of cassettes: secrets, files that cannot be read or were left, batches that had not ended, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.cassettes.drift.mirror import drift_of
from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.cassettes.format import format_of
from pytest_spidra.cassettes.reading import stored_interactions
from pytest_spidra.secrets.search import find_secrets
from pytest_spidra.traffic.statuses import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_spidra.cassettes.recording import Recording

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


def is_cassette(file: Path) -> bool:
    """Whether a file is a cassette by its name."""
    return file.is_file() and file.suffix in SUFFIXES and not file.name.startswith(".")


def is_left(file: Path) -> bool:
    """Whether a recording that was killed has left a file."""
    return file.name.startswith(".") and file.suffix == ".tmp" and bool(SUFFIXES & set(file.suffixes))


def problems(file: Path, *, allow_unfinished: bool = False, against_fake: bool = False) -> Iterator[str]:
    """Yield a sentence for each problem of a cassette.

    Args:
        file: The cassette.

        allow_unfinished: Whether batches may still be pending or running when the recording ends.

        against_fake: Whether each exchange is put to the fake, too.
    """
    try:
        pairs = stored_interactions(file)
        for number, (request, response) in enumerate(pairs, 1):
            for found in find_secrets(number, request, response):
                yield f"{found.where}: {found.what}"
        recording = format_of(file).read(file)
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
