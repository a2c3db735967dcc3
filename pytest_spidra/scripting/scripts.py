"""Scripts: what happens to the n-th request to an endpoint."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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


class Scripts:
    """The scripts of all endpoints of one test."""

    def __init__(self) -> None:
        self._scripts: dict[tuple[str, str | None], Script] = defaultdict(Script)
        self._lock = threading.Lock()

    def of(self, endpoint: str, batch_id: str | None = None) -> Script:
        """Return an endpoint's script: of one batch, or the one that every batch follows."""
        return self._scripts[endpoint, batch_id]

    def take(self, endpoint: str, batch_id: str | None) -> Step | None:
        """Return what happens to the next request, None when nothing is scripted.

        A script of the batch itself comes before the one for all batches.
        """
        with self._lock:
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
        ]
