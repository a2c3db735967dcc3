"""What users hold: `SpidraApi`, the same whatever answers, and `SpidraMock`, with the fake service behind it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pytest_spidra.assertions import Assertions
from pytest_spidra.batches import Batch, id_of
from pytest_spidra.fake import rendering
from pytest_spidra.fake.endpoints import NAMES
from pytest_spidra.fake.outcomes import BatchEnding, Outcome, batch_end
from pytest_spidra.scripts import Step, step_of
from pytest_spidra.verdicts import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    import respx

    from pytest_spidra.clock.real import Clock
    from pytest_spidra.fake.account import Account, Ledger
    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.fake.service import Service
    from pytest_spidra.log import ExchangeLog
    from pytest_spidra.scripts import Scripts
    from pytest_spidra.upstreams import FakeUpstream


class EndpointScript:
    """The script of one endpoint, ``spidra_mock.batch.submit`` for instance."""

    def __init__(self, endpoint: str, scripts: Scripts) -> None:
        self._endpoint = endpoint
        self._scripts = scripts

    def script(self, *steps: Step | int, batch: Batch | str | None = None) -> EndpointScript:
        """Say what happens to the next requests, one step each; then the service is healthy.

        Each batch goes through the steps on its own. A further call appends. A step that no request reaches
        fails the test.

        Args:
            steps: What `ok`, `http_error`, `reply_lost` and the others return, or a bare status such as 503.

            batch: Only for this batch, a `Batch` or an id; its own steps come before those for all.

        Raises:
            TypeError: A step that is none.

            ValueError: No step at all, or a status that is no error.
        """
        __tracebackhide__ = True
        if not steps:
            msg = f"{self._endpoint}.script(…) takes at least one step"
            raise ValueError(msg)
        checked = list(map(step_of, steps))
        self._script(batch).steps.extend(checked)
        return self

    def always(self, step: Step | int, *, batch: Batch | str | None = None) -> EndpointScript:
        """Say what happens to every request once the scripted steps are used up, until the test ends.

        Args:
            step: What `http_error`, `request_lost` and the others return, or a bare status such as 503.

            batch: Only for this batch, a `Batch` or an id.

        Raises:
            TypeError: A step that is none.

            ValueError: A status that is no error.
        """
        __tracebackhide__ = True
        self._script(batch).forever = step_of(step)
        return self

    def _script(self, batch: Batch | str | None) -> Any:
        __tracebackhide__ = True
        if batch is not None and self._endpoint in {"batch.submit", "batch.list"}:
            msg = f"{self._endpoint} concerns no single batch: leave out batch=…"
            raise ValueError(msg)
        return self._scripts.of(self._endpoint, None if batch is None else id_of(batch))

    def __repr__(self) -> str:
        return f"<script of {self._endpoint}>"


class BatchEndpoints:
    """The endpoints of the batch API, each with `script` and `always`."""

    def __init__(self, scripts: Scripts) -> None:
        self.submit = EndpointScript("batch.submit", scripts)
        self.get = EndpointScript("batch.get", scripts)
        self.list = EndpointScript("batch.list", scripts)
        self.cancel = EndpointScript("batch.cancel", scripts)
        self.retry = EndpointScript("batch.retry", scripts)

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        if name in {"outcomes", "ends"}:
            raise AttributeError(_fake_only(f"batch.{name}"))
        words = [name for name in dir(self) if not name.startswith("_")]
        meant = difflib.get_close_matches(name, words, 1, 0.5)
        hint = f" Did you mean {meant[0]!r}?" if meant else ""
        msg = f"{name!r} is no endpoint of the batch API.{hint} The endpoints are {', '.join(NAMES)}."
        raise AttributeError(msg)


class FakeBatchEndpoints(BatchEndpoints):
    """The endpoints, and how the fake service's work ends."""

    def __init__(self, scripts: Scripts, service: Service) -> None:
        super().__init__(scripts)
        self._service = service

    def outcomes(
        self,
        outcomes: Mapping[str, Outcome | Sequence[Outcome]],
        *,
        batch: Batch | str | None = None,
    ) -> None:
        """Say how the service's attempts at URLs end.

        Each batch counts its attempts at a URL on its own; the last outcome repeats, and a URL that is not
        named completes. A URL that no batch ever had fails the test.

        Args:
            outcomes: For each URL what `completed`, `failed` or `stuck` return, or a list of them, one for
                each attempt.

            batch: Only for this batch, a `Batch` or an id. Its first attempts have been queued already.

        Raises:
            TypeError: An outcome that is none.

            ValueError: A URL that `batch` does not have, no batch of that id, or an empty list.
        """
        __tracebackhide__ = True
        checked = checked_outcomes(outcomes)
        if batch is None:
            self._service.script_outcomes(checked)
            return
        state = self._service.batches.get(id_of(batch))
        if state is None:
            msg = f"there is no batch {id_of(batch)!r}"
            raise ValueError(msg)
        urls = [item.url for item in state.items]
        for url in checked:
            if url not in urls:
                meant = difflib.get_close_matches(url, urls, 1, 0.5)
                hint = f" Did you mean {meant[0]!r}?" if meant else ""
                msg = f"batch {state.id} never had the URL {url!r}.{hint}"
                raise ValueError(msg)
        self._service.script_outcomes(checked, state.id)

    def ends(
        self,
        status: BatchEnding,
        *,
        after_polls: int = 1,
        after_seconds: float | None = None,
        unfinished: BatchEnding | None = None,
    ) -> None:
        """Say how the next batch to be submitted ends as a whole.

        Args:
            status: ``"failed"``: the batch broke; ``"cancelled"``: somebody else cancelled it.

            after_polls: How many looks (GETs of the batch) still show what it would have shown; 0: it ends
                at once. They are counted from the submit, over all rounds.

            after_seconds: Seconds from the submit, on the test's clock; replaces `after_polls`.

            unfinished: What becomes of the items that have not ended, ``"failed"`` or ``"cancelled"``. No
                source says. Default: the same as `status`, so a retry can heal a batch that broke;
                ``ends("failed", unfinished="cancelled")`` breaks it with a ``failedCount`` of 0. Their
                credits go back.

        Raises:
            ValueError: Another status, a negative number.
        """
        __tracebackhide__ = True
        self._service.script_end(
            batch_end(status, after_polls=after_polls, after_seconds=after_seconds, unfinished=unfinished)
        )


class SpidraApi(Assertions):
    """The API as one test meets it, whatever answers."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        exchanges: ExchangeLog,
        clock: Clock,
        scripts: Scripts,
        mode: str,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self.exchanges = exchanges
        self._clock = clock
        self._mode = mode
        self._batch = BatchEndpoints(scripts)

    @property
    def base_url(self) -> str:
        """The URL below which requests are answered, without a slash at its end."""
        return self._base_url

    @property
    def api_key(self) -> str:
        """A key for the code under test: while recording, the one in ``SPIDRA_API_KEY``, else one that opens nothing."""
        return self._api_key

    @property
    def clock(self) -> Clock:
        """The test's clock: ``clock.elapsed`` is the time since the test began, in seconds."""
        return self._clock

    @property
    def mode(self) -> str:
        """What answers: ``"mock"``, or ``"server"`` when the fake is on a port."""
        return self._mode

    @property
    def batch(self) -> BatchEndpoints:
        """The endpoints: ``batch.submit.script(503)``, ``batch.get.always(503)``."""
        return self._batch

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        if not name.startswith("_") and hasattr(SpidraMock, name):
            raise AttributeError(_fake_only(name))
        msg = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(msg)


def _fake_only(name: str) -> str:
    return (
        f"{name} belongs to the fake service, and here the real API answers, or what was recorded of it. "
        "A test that needs it is mocked only: ask for spidra_mock, or mark it @pytest.mark.spidra(modes=('mock',))."
    )


class SpidraMock(SpidraApi):
    """The API with the fake service behind it."""

    def __init__(
        self,
        *,
        service: Service,
        upstream: FakeUpstream,
        scripts: Scripts,
        lock: AbstractContextManager[object],
        mode: str = "mock",
        **common: Any,
    ) -> None:
        super().__init__(scripts=scripts, mode=mode, **common)
        self._service = service
        self.lock = lock
        self._upstream = upstream
        self._fake_batch = FakeBatchEndpoints(scripts, service)

    @property
    def batch(self) -> FakeBatchEndpoints:
        """The endpoints, and ``batch.outcomes({url: …})`` and ``batch.ends(…)`` for how the work ends."""
        return self._fake_batch

    @property
    def account(self) -> Account:
        """The customer's settings: credits left, price, keys, caps and what is undocumented."""
        return self._service.account

    @property
    def credits(self) -> Ledger:
        """What this test's credits did: ``reserved``, ``charged``, ``refunded``, whole numbers."""
        return self._service.ledger

    @property
    def batches(self) -> list[Batch]:
        """Every batch of this test in the order of creation, the factory's included."""
        with self.lock:
            return [self.handle(state) for state in self._service.batches.values()]

    @property
    def router(self) -> respx.Router:
        """The router of respx, with the endpoints as named routes: ``router["batch.retry"].respond(500)``.

        A route that is overridden answers in the service's place; the service does no work then. A route
        added for another path answers requests that the fake does not know. A side effect is a plain
        function, a response or an exception, never a list: respx ends one in a bare ``StopIteration``.
        """
        return self._upstream.router

    def assert_credits(
        self, *, reserved: int | None = None, charged: int | None = None, refunded: int | None = None
    ) -> None:
        """The credits of this test moved just so.

        Args:
            reserved: Credits reserved by submits and retries; None: any number.

            charged: Credits charged for completed items; None: any number.

            refunded: Credits that came back, for failed and cancelled items; None: any number.

        Raises:
            AssertionError: One of them is another number.

            ValueError: Nothing was claimed.
        """
        __tracebackhide__ = True
        given = {"reserved": reserved, "charged": charged, "refunded": refunded}
        claimed = {name: amount for name, amount in given.items() if amount is not None}
        if not claimed:
            msg = "assert_credits(…) takes at least one of reserved, charged and refunded"
            raise ValueError(msg)
        found = {name: getattr(self.credits, name) for name in claimed}
        if found != claimed:
            guilty = [
                one.number for one in self.exchanges if (one.answered or 999) < 300 and one.method == "POST"
            ]
            msg = verdict(
                f"The credits were to be {_amounts(claimed)}, and are {_amounts(found)}.",
                "Credits are money: each accepted submit and retry reserves them, each completed item is charged.",
                self.exchanges,
                guilty,
                f"To fix it, look at the marked requests; a URL costs {self.account.price_per_url} credits unless its "
                "outcome says completed(credits=…).",
            )
            raise AssertionError(msg)

    def handle(self, state: BatchState) -> Batch:
        """Return the handle of a batch of the fake service."""

        def view() -> dict[str, Any]:
            with self.lock:
                state.advance(self._clock.now)
                return rendering.batch(state, self.account.timestamps)

        return Batch(state.id, [item.url for item in state.items], view)


def _amounts(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{amount} {name}" for name, amount in amounts.items())


def checked_outcomes(outcomes: object) -> dict[str, list[Outcome]]:
    """Return outcomes with a list for each URL.

    Raises:
        TypeError: No mapping, or an outcome that is none.

        ValueError: An empty list.
    """
    __tracebackhide__ = True
    if not hasattr(outcomes, "items"):
        msg = f"outcomes are given as {{url: outcome}} or {{url: [outcome, …]}}, not {outcomes!r}"
        raise TypeError(msg)
    checked: dict[str, list[Outcome]] = {}
    for url, given in outcomes.items():
        several = [given] if isinstance(given, Outcome) else given
        if not isinstance(several, list | tuple) or not all(isinstance(one, Outcome) for one in several):
            msg = (
                f"{given!r} is no outcome for {url!r}. An outcome is what completed(…), failed(…) or stuck() "
                "return, or a list of them, one for each attempt."
            )
            raise TypeError(msg)
        if not several:
            msg = f"the list of outcomes for {url!r} is empty; leave the URL out to let it complete"
            raise ValueError(msg)
        checked[url] = list(several)
    return checked
