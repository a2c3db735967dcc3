"""The recorder: notes what the real API answers, and makes a cassette of it when the test has passed."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.cassettes.locks import alone_in
from pytest_spidra.cassettes.recording import Times
from pytest_spidra.cassettes.secret_values import unified
from pytest_spidra.clock.loops import running_loop
from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.network_errors import NOT_SENT, innermost, reasons
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.traffic.pending import UnanswerableError
from pytest_spidra.traffic.redaction import request_line, without_keys
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.secret_patterns import SHORTEST_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_spidra.cassettes.format import Format
    from pytest_spidra.traffic.clock import Clock
    from pytest_spidra.traffic.request import Request


class Recorder:
    """Notes requests that go outside and their replies.

    Args:
        path: The cassette's file.

        writing: How it is written.

        base_url: The URL below which requests are sent.

        key: The API key, which must not get into the file.

        began: When this run of pytest began: a cassette that is younger was recorded in it.

        test: The id of the test, noted in the file: what another test has recorded is not overwritten.
    """

    routable = False

    def __init__(
        self, path: Path, writing: Format, base_url: str, key: str, *, began: float, test: str = ""
    ) -> None:
        self.path = path
        self._writing = writing
        self._base_url = base_url
        self._keys = {key}
        self._began = began
        self._test = test
        self._under_way: dict[int, RecordedCall] = {}
        self._done: dict[int, tuple[Request, Reply, Times]] = {}
        self._sent = 0
        self._broken = ""
        self._saved: int | None = None  # how many exchanges
        self._detector = ConcurrencyDetector()
        self._lock = threading.Lock()

    def knows(self, request: Request) -> bool:
        """Whether it is a request to one of the endpoints: only those are recorded, so only those are sent."""
        return endpoints.match(request.method, request.path) is not None

    @property
    def keys(self) -> list[str]:
        """The API keys that must be seen nowhere."""
        return sorted({key.strip() for key in self._keys}, key=len, reverse=True)

    @property
    def busy(self) -> bool:
        """Whether a request of ours is on its way just now."""
        return bool(self._under_way)

    def begin(self, request: Request, clock: Clock) -> RecordedCall:
        """Let a request go."""
        with self._lock:
            self._sent += 1
            self._keys |= {key for key in request.keys if len(key) >= SHORTEST_KEY}
            concurrent = self._detector.joins()
            call = self._under_way[self._sent] = RecordedCall(
                self, self._sent, request, clock, concurrent=concurrent, in_teardown=self._saved is not None
            )
        return call

    def arrived(self, call: RecordedCall, reply: Reply) -> None:
        """Note a reply."""
        with self._lock:
            del self._under_way[call.number]
            times = Times(call.at, call.took, self._sent, call.date, call.concurrent, call.in_teardown)
            self._done[call.number] = call.request, reply, times

    def has(self, call: RecordedCall) -> bool:
        """Whether the reply to a request has come."""
        return call.number in self._done

    def broke(self, call: RecordedCall, why: str) -> None:
        """Note that a request had no reply: no cassette can hold that."""
        with self._lock:
            self._under_way.pop(call.number, None)
            self._broken = self._broken or f"{request_line(call.request)} {why}"

    def check(self) -> None:
        """See that the cassette can be written, before anything is paid for.

        Raises:
            CassetteError: It cannot.
        """
        folder = self.path.parent
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            msg = f"{self.path} could not be written: {folder} is no folder. Nothing was sent."
        elif not os.access(folder, os.W_OK | os.X_OK):
            msg = f"{self.path} could not be written: the folder {folder} is read-only. Nothing was sent."
        else:
            return
        raise CassetteError(msg)

    def save(self) -> None:
        """Make the cassette, and once more when a fixture that cleared up has sent something since.

        Raises:
            CassetteError: There is something that it cannot hold, or must not. What stood there is as it was.
        """
        if not self._broken and self._under_way:
            call = next(iter(self._under_way.values()))
            self._broken = f"{request_line(call.request)} had no reply when the test ended"
        if self._broken:
            raise CassetteError(
                "\n\n".join(
                    [
                        paragraph(f"{self.path} was not written: {self._broken}."),
                        paragraph(
                            "A cassette holds replies only, so a replay could not show what the client saw here. "
                            "Record anew; a failure that belongs to the test is scripted: reply_lost(), "
                            "ok(after=…)."
                        ),
                    ]
                )
            )
        done = [self._done[number] for number in sorted(self._done)]
        if self._saved == len(done):
            return
        with alone_in(self.path.parent):
            if self._saved is None:
                self._refuse_sharing(done)
            self._writing.write(self.path, done, self._base_url, self._keys, self._test)
        self._saved = len(done)

    def _refuse_sharing(self, done: list[tuple[Request, Reply, Times]]) -> None:
        """Refuse to replace what another test has recorded with something else."""
        try:
            there = self._writing.read(self.path, self._base_url)
            young = self.path.stat().st_mtime >= self._began
        except (OSError, CassetteError):
            return
        another = there.test != self._test if there.test and self._test else young
        sent = [request for request, _, _ in done]
        if not another or _same_requests([one.request for one in there.interactions], sent):
            return
        whose = there.test or "another test, made in this run"
        raise CassetteError(
            "\n\n".join(
                [
                    paragraph(
                        f"{self.path} was not written: it is the recording of {whose}, which sent other requests, and "
                        "only one of the two could be replayed."
                    ),
                    paragraph(
                        "To fix it, give each test a cassette of its own, @pytest.mark.spidra(cassette=…), or delete "
                        "the file when that test is no more."
                    ),
                ]
            )
        )


class ConcurrencyDetector:
    """Tells whether a client is one that does several things at once, whatever it does first."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._tasks: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._several = False

    def joins(self) -> bool:
        """Note who sends a request just now; return whether others have sent any, in this loop or elsewhere.

        One event loop after the other is nobody else: the SDK's sync client has a new one for each call.
        """
        self._thread = self._thread or threading.current_thread()
        if self._thread is not threading.current_thread():
            self._several = True
        if (loop := running_loop()) and (task := sys.modules["asyncio"].current_task(loop)):
            first = self._tasks.setdefault(loop, weakref.ref(task))
            self._several = self._several or first() is not task
        return self._several


class RecordedCall:
    """One request on its way to the real API and back."""

    def __init__(
        self,
        recorder: Recorder,
        number: int,
        request: Request,
        clock: Clock,
        *,
        concurrent: bool,
        in_teardown: bool,
    ) -> None:
        self._recorder = recorder
        self._over = clock.measure_external_wait()
        self.number = number
        self.request = request
        self.concurrent = concurrent
        self.in_teardown = in_teardown
        self.took = 0.0
        self.at = clock.elapsed
        sent = datetime.fromtimestamp(clock.now / MICROSECONDS, UTC)
        self.date = sent.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def received(self, what: Reply | Exception) -> Reply:
        """Take in what came of it.

        Raises:
            UnanswerableError: A broken connection: the recording is over.
        """
        self.took = round(self._over(), 6)
        if isinstance(what, Reply):
            if self.request.read_timeout is not None:
                # Connecting has a limit of its own, and so has each part of a reply: this one was not too late.
                self.took = min(self.took, self.request.read_timeout)
            self._recorder.arrived(self, what)
            return what
        error = innermost(what)
        name = type(error).__name__
        why = list(reasons(error))
        fate = "did not reach the API" if why or name in NOT_SENT else "got no reply"
        hope = "" if fate == "did not reach the API" else "; the API may have done the work all the same"
        self._recorder.broke(self, f"{fate} ({name})")
        raise UnanswerableError(
            "\n\n".join(
                [
                    paragraph(f"The recording ends here: {request_line(self.request)} {fate}{hope}."),
                    f"    {name}: {without_keys(str(error), self._recorder.keys)}",
                    *map(paragraph, why),
                    paragraph(
                        "A cassette holds replies only, so nothing of this recording was kept. A broken connection "
                        "that belongs to the test is scripted: request_lost(), reply_lost()."
                    ),
                ]
            )
        ) from None  # the library's own error would be shown as it is, and says what it could not send

    def cancelled(self) -> None:
        """The client stopped waiting; what has come by then stays recorded."""
        if not self._recorder.has(self):
            self._recorder.broke(self, "was given up by the client before its reply came")


def _same_requests(there: list[Request], sent: list[Request]) -> bool:
    """Tell whether two recordings are of the same requests, ids of batches and secrets aside."""
    return len(there) == len(sent) and all(map(_alike, there, sent))


def _alike(there: Request, sent: Request) -> bool:
    if (there.method, there.path.count("/")) != (sent.method, sent.path.count("/")):
        return False
    urls = [body.get("urls") if isinstance(body, dict) else None for body in (there.json, sent.json)]
    return unified(urls[0], urls[1], {}) is not None
