"""The wiring of one test, opened and closed, and what it finds at the end."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

from pytest_spidra.clients.libraries import Libraries
from pytest_spidra.clients.network_guard import block_hosts, guarded_hosts
from pytest_spidra.clock.virtual import VirtualClock
from pytest_spidra.fixtures.endpoints import fake_only
from pytest_spidra.settings import OPEN
from pytest_spidra.traffic import describe, timeline
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.traffic.senders import work_of_tasks
from pytest_spidra.traffic.suggestions import did_you_mean
from pytest_spidra.verdicts.rules.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_spidra.fake.service import Service
    from pytest_spidra.fixtures.chapters import Chapters
    from pytest_spidra.sessions.wiring import Wiring
    from pytest_spidra.settings import Settings
    from pytest_spidra.traffic.batches import Batch
    from pytest_spidra.traffic.jobs import Job
    from pytest_spidra.traffic.log import ExchangeLog
    from pytest_spidra.verdicts.rules.base import Accusation


def jobs_of_the_fake_only(*_: object, **__: object) -> NoReturn:
    """Refuse to make a job of the real API."""
    __tracebackhide__ = True
    raise AttributeError(fake_only("spidra_job_factory"))


class Session:
    """One test that uses the plugin, whoever answers it.

    Args:
        settings: What was said for this test.

        wiring: What stands between the client and whoever answers.

        factory: Makes batches.

        job_factory: Makes other jobs.
    """

    refusal: str | None = None
    """Why the test cannot even begin, or None."""

    old_recording: str | None = None
    """That the recording which answers is old, as a warning, or None."""

    records = False
    """Whether it makes a cassette."""

    chapters: Chapters | None = None
    """What begins a new chapter, where the fake answers."""

    def __init__(
        self,
        settings: Settings,
        wiring: Wiring,
        factory: Callable[..., Batch],
        job_factory: Callable[..., Job] = jobs_of_the_fake_only,
    ) -> None:
        self.job_factory = job_factory
        self.settings = settings
        self.wiring = wiring
        self.factory = factory
        self._libraries: Libraries | None = None
        self._opened = ExitStack()
        self.told: list[Accusation] = []  # of chapters that have ended

    def open(self) -> None:
        """Stand between every client and the API until `close`.

        Raises:
            RuntimeError: Something else in this process fakes the time already.
        """
        clock, interceptor = self.wiring.clock, self.wiring.interceptor
        with ExitStack() as stack:
            if isinstance(clock, VirtualClock):
                clock.on_endless = interceptor.fail
            clock.start()
            stack.callback(clock.stop)
            self.wiring.log.began_at = clock.now
            stack.enter_context(
                block_hosts(
                    guarded_hosts(self.settings.base_url),
                    interceptor.fail,
                    base_url=self.settings.base_url,
                    fixture=self.settings.fixture,
                    allow=self._allows,
                )
            )
            stack.enter_context(work_of_tasks())
            self._libraries = Libraries(interceptor)
            stack.callback(self._libraries.close)
            OPEN.append(self)
            stack.callback(OPEN.remove, self)
            self._opened = stack.pop_all()

    def close(self) -> None:
        """Leave nothing behind, whoever has put us back into a library meanwhile."""
        self._opened.close()
        if self._libraries:
            self._libraries.close()

    def _allows(self) -> bool:
        """Whether somebody may go to the real API just now."""
        return False

    def repatch(self) -> None:
        """Stand before other patches that came after ours."""
        if self._libraries:
            self._libraries.repatch()

    def accusations(self) -> list[Accusation]:
        """Return what the rules find, up to now."""
        if self.settings.rules == "off":
            return []
        return judge(self.wiring.log, self.settings.rule_names)

    @property
    def failures(self) -> list[str]:
        """What has failed the test already, in case the code under test swallowed it."""
        return self.wiring.interceptor.failures

    def unreached(self) -> str | None:
        """Return what was scripted and never came, in words, or None."""
        unused = [*self.wiring.interceptor.scripts.unused, *self._unreached()]
        if not unused or self.settings.allow_unused_steps:
            return None
        what = "A scripted step was" if len(unused) == 1 else f"{len(unused)} scripted steps were"
        return "\n".join([f"{what} never reached:", *(f"    {step}" for step in unused)])

    def missed(self) -> str | None:
        """Return what was to happen in this test and did not, as the message of its failure, or None."""
        unreached = self.unreached()
        if unreached is None:
            return self._unplayed()
        log = self.wiring.log
        parts = [
            unreached,
            paragraph("What this test is about did not happen, so the test shows nothing about it."),
            timeline.render(log) if log else "The client sent no request at all.",
            paragraph(
                "To fix it, let the client get there, or take the step out. To allow it, "
                f"{self.settings.way.format('allow_unused_steps=True')}."
            ),
        ]
        return "\n\n".join(parts)

    def _unreached(self) -> Iterable[str]:
        """Yield what else was scripted and never happened."""
        return ()

    def _unplayed(self) -> str | None:
        """Return what was to happen by a recording, and did not, or None."""
        return None

    def failure_after_teardown(self) -> str | None:
        """Return what is wrong when everything has passed and fixtures have cleared up, or None."""
        return None

    def save(self) -> str | None:
        """Keep what was recorded, of a test that has passed; return why it cannot be kept, or None."""
        return None

    def discard(self) -> None:
        """Put back what `save` has replaced: the test has not passed after all."""


def unreached(service: Service, log: ExchangeLog) -> Iterator[str]:
    """Yield the outcomes and ends of batches that were scripted and never came to be."""
    submitted = list(dict.fromkeys(url for exchange in log for url in describe.urls_of(exchange)))
    retries = Counter(exchange.batch_id for exchange in log if exchange.is_retry)
    for unused in service.unused_outcomes():
        asked = max((1 + retries[batch_id] for batch_id in unused.batches), default=0)
        if not unused.batches and unused.url not in submitted:
            hint = did_you_mean(unused.url, submitted, 0.9)
            meant = f"\n       {hint}" if hint else ""  # URLs are long: on a line of its own
            yield f"batch.outcomes: no batch had the URL {unused.url}{meant}"
        elif unused.batches and unused.reached == 0:
            yield f"batch.outcomes: given for {unused.url} when its attempt had begun already"
        elif unused.batches and asked <= unused.reached:  # a refused retry has asked
            yield f"batch.outcomes: no retry asked for outcome {unused.reached + 1} of {unused.count} of {unused.url}"
    for kind, unused in service.jobs.unused_outcomes():
        parts = [
            item.url for state in service.jobs.states.values() for item in state.items if state.family == kind
        ]
        asked_for = [one for one in log if one.family == kind and one.is_submit]
        mine = [*parts, *(subject for one in asked_for for subject in describe.subjects_in(one.request_json))]
        if unused.url not in mine:
            hint = did_you_mean(unused.url, mine, 0.9)
            meant = f"\n       {hint}" if hint else ""
            yield f"{kind}.outcomes: no {kind} had the URL {unused.url}{meant}"
        elif unused.reached == 0:
            yield f"{kind}.outcomes: given for {unused.url} when its {kind} had begun already"
        else:
            yield f"{kind}.outcomes: no {kind} came to outcome {unused.reached + 1} of {unused.count} of {unused.url}"
    for kind, ending in service.jobs.ends:
        yield f'{kind}.ends("{ending.status}"): no {kind} was submitted after it'
    for ending, batch_id in service.unused_ends():
        late = "no batch was submitted after it" if batch_id is None else f"batch {batch_id} had ended before"
        yield f'batch.ends("{ending.status}"): {late}'
