"""Random scripts: hypothesis looks for one that a runner does not get over, and shrinks it to what one can read.

Judged is what no failure excuses: money, truth and rules. Whether a runner gives up is its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_spidra import (
    Outcome,
    Step,
    completed,
    failed,
    gateway_error,
    http_error,
    ok,
    queue_unavailable,
    rate_limited,
    reply_lost,
    request_lost,
    service_busy,
    too_many_pending,
)
from pytest_spidra.conformance.judging import LONGEST_RUN, Complaint, Expected, complaints
from pytest_spidra.conformance.messages import message
from pytest_spidra.conformance.runs import Observed, observe, open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.sessions.fake_sessions import FakeSession

ENDPOINTS = ("submit", "get", "list", "retry")
REQUEST_LIMIT = 300
"""Most requests without progress of one run. That a run ends is what cases are about: here it is ended soon, and not
held against the runner."""


@dataclass(frozen=True)
class Script:
    """One random script. Its words are those of a test, so that it can be pasted into one.

    Args:
        pages: How many pages each of the runs is given; several run at once.

        outcomes: How attempts at pages end, by the page's number.

        steps: What happens to the first requests to an endpoint.

        outage: An endpoint that fails for ever once its steps are used up, and how.

        ends: How the first batch ends, and after how many looks; None: as its pages do.

        credits: Credits that are left; None: enough.
    """

    pages: tuple[int, ...] = (1,)
    outcomes: dict[int, list[str]] = field(default_factory=dict)
    steps: dict[str, list[str]] = field(default_factory=dict)
    outage: tuple[str, str] | None = None
    ends: tuple[str, int] | None = None
    credits: int | None = None

    @property
    def parts(self) -> list[list[str]]:
        """The URLs of each run."""
        return [
            [f"https://shop.example/{place}/{number}" for number in range(1, count + 1)]
            for place, count in enumerate(self.pages, 1)
        ]

    @property
    def lines(self) -> list[str]:
        """The script as the lines of a test, without what it does not say."""
        urls = [url for part in self.parts for url in part]
        lines = [
            f"spidra_mock.batch.{name}.script({', '.join(steps)})"
            for name, steps in self.steps.items()
            if steps
        ]
        if self.outage:
            lines.append(f"spidra_mock.batch.{self.outage[0]}.always({self.outage[1]})")
        lines += [
            f"spidra_mock.batch.outcomes({{{urls[number - 1]!r}: [{', '.join(several)}]}})".replace("'", '"')
            for number, several in self.outcomes.items()
            if number <= len(urls) and several
        ]
        if self.ends:
            lines.append(f'spidra_mock.batch.ends("{self.ends[0]}", after_polls={self.ends[1]})')
        if self.credits is not None:
            lines.append(f"spidra_mock.account.credits = {self.credits}")
        return lines

    def play(self, session: FakeSession) -> None:
        """Let the fake follow the script."""
        for line in self.lines:
            exec(line, {**WORDS, "spidra_mock": session.mock})  # noqa: S102 - these are our own lines, and just those that a reader pastes

    def as_test(self, rounds: int, *, awaited: bool = False) -> str:
        """Return the script as a test that can be pasted.

        Args:
            rounds: ``max_attempts``.

            awaited: Whether the runner is a coroutine function.
        """
        words = sorted(word for word in WORDS if any(f"{word}(" in line for line in self.lines))
        imports = [f"from pytest_spidra import {', '.join(words)}"] if words else []
        given = f"base_url=spidra_mock.base_url, api_key=spidra_mock.api_key, max_attempts={rounds}"
        call = f"asyncio.run(run_batch(urls, {given}))" if awaited else f"run_batch(urls, {given})"
        shown = str(self.parts if len(self.parts) > 1 else self.parts[0]).replace("'", '"')
        if len(self.parts) > 1:
            imports.append("from concurrent.futures import ThreadPoolExecutor")
            runs = ["with ThreadPoolExecutor() as pool:", f"    list(pool.map(lambda urls: {call}, {shown}))"]
        else:
            runs = [f"urls = {shown}", call]
        if awaited:
            imports.insert(0, "import asyncio")
        head = [
            "@pytest.mark.spidra(allow_unused_steps=True)",
            "def test_what_was_found(spidra_mock, run_batch):",
        ]
        return "\n".join(
            [*imports, "", "", *head, *(f"    {line}" for line in [*self.lines, *runs])]
        ).lstrip()


WORDS: dict[str, Callable[..., Step | Outcome]] = {
    "completed": completed,
    "failed": failed,
    "gateway_error": gateway_error,
    "http_error": http_error,
    "ok": ok,
    "queue_unavailable": queue_unavailable,
    "rate_limited": rate_limited,
    "reply_lost": reply_lost,
    "request_lost": request_lost,
    "service_busy": service_busy,
    "too_many_pending": too_many_pending,
}
"""The words of a script, by which its lines are read."""

# What comes first is what shrinking ends at.
STEPS = st.sampled_from(
    (
        "ok()",
        "reply_lost()",
        "503",
        "request_lost()",
        "502",
        "gateway_error(504, processed=True)",
        "gateway_error(502, processed=True)",
        "service_busy(retry_after=20)",
        "rate_limited(retry_after=20)",
        'reply_lost("ReadError")',
        'request_lost("ReadTimeout")',
        "500",
        "504",
        "too_many_pending()",
        "queue_unavailable()",
        'ok(body="truncated")',
        'ok(body="empty")',
        "ok(after=7.5)",
        "http_error(500, processed=True)",
        "403",
        "404",
    )
)
OUTAGES = st.sampled_from(("503", "request_lost()", "gateway_error(502)", "401"))
# Without pages that never end: a runner's deadline is what one case is about, and each such run takes long.
OUTCOMES = st.sampled_from(
    (
        "completed()",
        "failed()",
        'failed("Blocked", after_polls=0)',
        "completed(after_polls=0)",
        "completed(after_polls=3)",
        "completed(after_seconds=40)",
        "failed(after_seconds=10)",
        "completed(credits=2)",
    )
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Draw a script; the simplest says nothing at all."""
    pages = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    several = st.lists(OUTCOMES, max_size=3)
    return Script(
        pages=tuple(pages),
        steps={name: draw(st.lists(STEPS, max_size=3)) for name in ENDPOINTS},
        outcomes={number: draw(several) for number in range(1, sum(pages) + 1)},
        outage=draw(st.none() | st.tuples(st.sampled_from(ENDPOINTS), OUTAGES)),
        ends=draw(st.none() | st.tuples(st.sampled_from(("failed", "cancelled")), st.integers(0, 3))),
        credits=draw(st.none() | st.integers(0, 6)),
    )


def try_script(
    script: Script, runner: Callable[..., Any], rounds: int, longest: float = LONGEST_RUN
) -> tuple[Observed, list[Complaint], str]:
    """Let a runner meet a script; return what was seen, what is wrong with it, and the message of that, or nothing."""
    with open_session(REQUEST_LIMIT * len(script.pages)) as session:
        script.play(session)
        observed = observe(runner, session, script.parts, rounds)
        found = [one for one in complaints(observed, Expected.HONEST, longest) if one.word != "hangs"]
        text = (
            message("The script was drawn by hypothesis; this test shows the same:", observed, found)
            if found
            else ""
        )
        return observed, found, text


def search(
    runner: Callable[..., Any], rounds: int, *, examples: int, longest: float = LONGEST_RUN
) -> tuple[Script, str] | None:
    """Look for a script that the runner does not get over; return the simplest and what is wrong, or None.

    The search is the same in every run: a suite that fails now and then is believed by nobody.

    Args:
        runner: The runner under test.

        rounds: ``max_attempts``.

        examples: How many scripts are tried.

        longest: Seconds that a run may take.
    """
    simplest: list[tuple[Script, str]] = []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(scripts())
    def attempt(script: Script) -> None:
        _, found, text = try_script(script, runner, rounds, longest)
        if found:
            simplest[:] = [(script, text)]
            raise AssertionError(found[0].word)

    try:
        attempt()
    except AssertionError:
        return simplest[0]
    return None
