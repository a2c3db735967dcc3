"""When the client sees what came of its request, its own timeouts considered.

Every client library has such timeouts, under names of its own. Its adapter puts them into the `Request`; here is the
only place that reckons with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.traffic.pending import ConnectionLost

if TYPE_CHECKING:
    from pytest_spidra.scripting.steps import Step
    from pytest_spidra.traffic.pending import Resolution
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

LONGEST_CONNECT = 127.0
"""Seconds after which Linux gives up a connection that nobody answers (tcp(7), tcp_syn_retries: 6), for a client that
waits without a limit."""

MISSED = {
    "Pool": "no free connection",
    "Connect": "no connection",
    "Write": "the request was not sent",
    "Read": "no reply",
}
"""What a client waits for, by the first word of its timeout's name, and what it says when that is over."""


def resolve(
    request: Request, step: Step, answer: Reply | None = None, *, passed: float = 0.0
) -> Resolution | None:
    """Return after how many seconds the client sees what; None: it waits without a limit, and nothing comes.

    Args:
        request: What was sent, and how long the client waits for what.

        step: What happens to it.

        answer: What upstream replied, None when it was not asked.

        passed: Seconds that the client has waited already.
    """
    result = step.shown(answer)
    phase = _phase(result)
    limit = _limit(request, phase)
    if step.after is None:
        return None if limit is None else (max(limit - passed, 0.0), result)
    delay = step.after + (answer.took if answer else 0.0)
    if limit is not None and passed + delay > limit:
        return max(limit - passed, 0.0), ConnectionLost(
            f"{phase}Timeout", f"{MISSED[phase]} within {limit:g} s"
        )
    return delay, result


def _phase(result: Reply | ConnectionLost) -> str:
    """Return what the client waits for when it sees this."""
    error = result.error if isinstance(result, ConnectionLost) else ""
    return next((phase for phase in MISSED if error.startswith(phase)), "Read")


def _limit(request: Request, phase: str) -> float | None:
    limits = {
        "Pool": request.pool_timeout,
        "Connect": LONGEST_CONNECT if request.connect_timeout is None else request.connect_timeout,
        "Write": request.write_timeout,
        "Read": request.read_timeout,
    }
    return limits[phase]
