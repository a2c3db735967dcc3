"""Scripts: what happens to the n-th request to an endpoint."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_spidra.scripting.steps import Step


@dataclass
class Script:
    """The steps of one endpoint, for every batch on its own or for one batch.

    Each batch goes through the steps from the first, whatever other batches do. Submit and list belong to no
    batch and have one course.
    """

    steps: list[Step] = field(default_factory=list)
    forever: Step | None = None
    forever_reached: bool = False
    reached: int = 0
    places: dict[str | None, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, batch_id: str | None) -> Step | None:
        """Return the step for the next request of a batch, None when the service is healthy."""
        place = self.places[batch_id]
        if place < len(self.steps):
            self.places[batch_id] = place + 1
            self.reached = max(self.reached, place + 1)
            return self.steps[place]
        if self.forever:
            self.forever_reached = True
        return self.forever

    @property
    def unused(self) -> list[str]:
        """The steps that no request ever reached, each in words."""
        of = len(self.steps)
        left = [
            f"{step} (step {place} of {of})"
            for place, step in enumerate(self.steps, 1)
            if place > self.reached
        ]
        if self.forever and not self.forever_reached:
            left.append(f"always({self.forever})")
        return left


@dataclass
class Outage:
    """A time in which every endpoint answers alike.

    Args:
        step: What happens to each request.

        start: When it begins, in seconds on the test's clock.

        seconds: How long it lasts.
    """

    step: Step
    start: float
    seconds: float
    reached: bool = False

    def covers(self, now: float) -> bool:
        """Whether it is under way; at the moment of its end it is over."""
        return self.start <= now < self.start + self.seconds

    def __str__(self) -> str:
        return f"outage({self.step}, start={self.start:g}, seconds={self.seconds:g})"


class Scripts:
    """The scripts of all endpoints of one test."""

    def __init__(self) -> None:
        self._scripts: dict[tuple[str, str | None], Script] = defaultdict(Script)
        self._outages: list[Outage] = []
        self._lock = threading.Lock()

    def of(self, endpoint: str, batch_id: str | None = None) -> Script:
        """Return an endpoint's script: of one batch, or the one that every batch follows."""
        return self._scripts[endpoint, batch_id]

    def add_outage(self, step: Step, start: float, seconds: float) -> None:
        """Let every endpoint answer alike for a while."""
        self._outages.append(Outage(step, start, seconds))

    @property
    def scripted(self) -> tuple[Any, ...]:
        """What holds all that is scripted here, to be emptied or put back."""
        return self._scripts, self._outages

    def take(self, endpoint: str, batch_id: str | None, now: float) -> Step | None:
        """Return what happens to the next request, None when nothing is scripted.

        An outage comes before every script, and takes no step of one; a script of the batch itself comes before the
        one for all batches.

        Args:
            endpoint: The endpoint's name.

            batch_id: The batch in the path.

            now: Seconds since the test began.
        """
        with self._lock:
            for outage in self._outages:
                if outage.covers(now):
                    outage.reached = True
                    return replace(outage.step, label=f"outage({outage.step})")
            if batch_id is not None and (own := self._scripts.get((endpoint, batch_id))):
                step = own.take(batch_id)
                if step:
                    return step
            script = self._scripts.get((endpoint, None))
            return script.take(batch_id) if script else None

    @property
    def unused(self) -> list[str]:
        """Every scripted step that was never reached, in words."""
        return [
            f"{endpoint}: {words}" + (f" for batch {batch_id}" if batch_id else "")
            for (endpoint, batch_id), script in self._scripts.items()
            for words in script.unused
        ] + [f"{outage}: no request came in that time" for outage in self._outages if not outage.reached]
