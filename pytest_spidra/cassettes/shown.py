"""A recording as it is shown to people."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_spidra.traffic import timeline
from pytest_spidra.traffic.log import ExchangeLog

if TYPE_CHECKING:
    from pytest_spidra.cassettes.recording import Recording

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def shown(recording: Recording) -> str:
    """Return where and when something was recorded, and its timeline, whole."""
    hosts = Counter(urlsplit(one.stored.uri).netloc for one in recording.interactions)
    where = f" with {', '.join(hosts)}" if hosts else ""
    began_at = recording.began_at
    moment = None if began_at is None else _EPOCH + timedelta(microseconds=began_at)
    when = "" if moment is None else f", recorded {moment:%Y-%m-%dT%H:%M:%SZ}"
    lines = [f"{recording.path}: {counted(len(recording.interactions), 'exchange')}{where}{when}"]
    if recording.others:
        lines.append(f"{counted(recording.others, 'interaction')} with something else left out")
    if recording.interactions:
        lines += ["", timeline.render(log_of(recording), most=sys.maxsize)]
    return "\n".join(lines)


def counted(count: int, what: str) -> str:
    """Return how many there are of something: ``"2 problems"``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


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
