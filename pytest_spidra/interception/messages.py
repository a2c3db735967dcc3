"""What the interceptor says when it ends a test."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_spidra.traffic import endpoints, timeline
from pytest_spidra.traffic.other_endpoints import is_beyond_the_fake
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.traffic.redaction import without_keys_in_url

if TYPE_CHECKING:
    from pytest_spidra.scripting.steps import Step
    from pytest_spidra.traffic.log import ExchangeLog
    from pytest_spidra.traffic.request import Request


def unknown_request(request: Request, *, routable: bool) -> str:
    """Say that no endpoint takes a request, which are there, and how to go on."""
    meant = endpoints.closest(request.method, request.path)
    family = [row for row in endpoints.ENDPOINTS if row.family == meant.family]
    rows = "\n".join(f"    {row.name:<13} {row.method:<6} {row.path}" for row in family)
    others = ", ".join(dict.fromkeys(row.family for row in endpoints.ENDPOINTS if row.family != meant.family))
    asked = f"{request.method} {without_keys_in_url(request.target, request.keys)}"
    if is_beyond_the_fake(request.method, request.path):
        return _beyond_the_fake(asked, request, routable=routable)
    route = paragraph("To fix it, correct the request. To answer it yourself, add a route of respx:")
    route += f"\n{_route(request)}"
    return "\n\n".join(
        [
            f"No endpoint of {'the fake Spidra answers' if routable else 'those that are recorded takes'} {asked}.",
            f"The closest is {meant.name}: {meant.method} {meant.path}.",
            paragraph(
                "Against the real API this is an error, or a call that the fake does not know: the test would "
                "prove nothing."
                if routable
                else "Only these endpoints are recorded and replayed; the request was not sent."
            ),
            f"The endpoints of {meant.family} are\n{rows}\n{paragraph(f'besides those of {others}.')}",
            route if routable else paragraph("To fix it, correct the request."),
        ]
    )


def _beyond_the_fake(asked: str, request: Request, *, routable: bool) -> str:
    who = "the fake Spidra does not have it" if routable else "it is neither recorded nor replayed"
    parts = [paragraph(f"{asked}: the real API has this endpoint, and {who}. Nothing was sent.")]
    if routable:
        parts.append(f"{paragraph('To answer it yourself, add a route of respx:')}\n{_route(request)}")
    return "\n\n".join(parts)


def _route(request: Request) -> str:
    return f'    spidra_mock.router.route(method="{request.method}", path__regex="…").respond(…)'


def endless(limit: int | None, log: ExchangeLog, elapsed: float) -> str:
    """Say that the client goes round in circles; `elapsed` are the seconds that the test has lasted."""
    nothing = "In all of them, no URL was submitted or seen to end for the first time."
    if elapsed > 0:
        why = (
            f"{nothing} The test's clock has gone on meanwhile, {elapsed:g} s in all, so a deadline by time.monotonic, "
            "time.time or datetime.now would have come. One by time.perf_counter stands still here, and so does what "
            'a library in C measures: clock="real" is the way out for these.'
        )
    else:
        why = (
            f"{nothing} No time has passed on the test's clock either: in production this loop would run for ever and "
            "use up the request quota."
        )
    return "\n\n".join(
        [
            f"The client sent more than {limit} requests without any progress.",
            paragraph(why),
            timeline.render(log),
            paragraph(
                "To fix it, give the loop a deadline or a highest number of attempts, and end it on every "
                "terminal status and on every error that is not transient. To allow it, raise the limit: "
                "@pytest.mark.spidra(request_limit=…), mock_spidra(request_limit=…), or the ini option "
                "spidra_request_limit."
            ),
        ]
    )


def waits_for_ever(step: Step, log: ExchangeLog, waited: float) -> str:
    """Say that a client waits without a limit for what never comes, and has done so for `waited` seconds."""
    kind = step.error or ""
    name = kind.removesuffix("Timeout").lower()
    call = step.label.removesuffix(")")
    after = f"{call}{'' if call.endswith('(') else ', '}after=…)"
    broken = f'{call.partition("(")[0]}("{"ConnectError" if name == "pool" else "ReadError"}")'
    return "\n\n".join(
        [
            f"The client waits for ever: it has no {name} timeout.",
            paragraph(
                f"{step.label} is a {kind}, which lands when the client's own {name} timeout is over. This client has "
                f"none, and nothing else has ended its wait for {waited:g} s: in production it would hang here."
            ),
            timeline.render(log),
            paragraph(
                f"To fix it, give the client a {name} timeout, or put a time limit around the call. To script another "
                f"error: {after} comes by then, {broken} breaks the connection at once."
            ),
        ]
    )


def unstoppable(times: int) -> str:
    """Say why the whole process ends: the code under test has swallowed the failure so many times."""
    return paragraph(
        f"The code under test has swallowed this {times:,} times and goes on, so this process ends here, and with it the "
        "tests that were to follow. To fix it, let the code catch Exception, and no more than that: a bare `except:` "
        "catches also what is to end it, Ctrl-C among it."
    )


def origin_of_request() -> str | None:
    """Return the innermost line of the user's own code that led here, or None (in a thread of a library)."""
    ours = __name__.partition(".")[0]
    paths = sysconfig.get_paths()
    foreign = tuple(str(Path(paths[name])) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to look at the caller without building a traceback
    while frame:
        name = frame.f_code.co_filename
        if (
            not name.startswith(("<", *foreign))
            and frame.f_globals.get("__name__", "").partition(".")[0] != ours
        ):
            return f"{name}:{frame.f_lineno}, in {frame.f_code.co_name}"
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None
