"""Tests that meet the real API: while it is recorded, and when the recording is replayed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_spidra.cassettes.errors import CassetteError, MissingCassetteError, SettingError
from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.player import Player
from pytest_spidra.cassettes.recorder import Recorder
from pytest_spidra.cassettes.writing import replace_file
from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.real import RealClock
from pytest_spidra.clock.virtual import VirtualClock
from pytest_spidra.fixtures.recorded_factory import RecordedFactory
from pytest_spidra.secrets.keys import checked_key
from pytest_spidra.sessions.session import Session
from pytest_spidra.sessions.wiring import wire
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.log import ExchangeLog
from pytest_spidra.traffic.network_errors import SOCKETS_BLOCKED, sockets_blocked
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.traffic.pending import UnanswerableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_spidra.cassettes.recording import Recording
    from pytest_spidra.interception.upstreams import LocalUpstream, RemoteUpstream
    from pytest_spidra.settings import Settings
    from pytest_spidra.traffic.clock import Clock
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

REPLAY_KEY = "spd_replay"


@dataclass(frozen=True)
class Cassette:
    """Where a test's cassette is, and how it comes to be.

    Args:
        path: The file, without its suffix when it has none.

        config: What `spidra_vcr_config` says.

        test: The id of the test that plays it, with its mode: pytest takes it, whoever repeats tests.

        began: When this run of pytest began, in seconds since the Unix epoch.

        owner: The test whose recording it is, by the id that it has in all modes.
    """

    path: Path
    config: Mapping[str, Any]
    test: str
    began: float
    owner: str

    def command(self, record: str) -> str:
        """Return the command that records just this test, ``"once"`` or anew (``"all"``)."""
        # Double quotes do in any shell; where they would not, only those of POSIX are safe.
        test = shlex.quote(self.test) if set(self.test) & set('"$`\\!') else f'"{self.test}"'
        return f"pytest {test} --spidra-record={record}"

    def opened(self) -> tuple[Path, Format]:
        """Return the file and how it is read and written.

        Raises:
            CassetteError: `config` is wrong.
        """
        reading = Format(self.config)
        path = self.path
        if path.suffix not in {".yaml", ".yml", ".json"}:
            path = path.with_name(path.name + reading.suffix)
        return path, reading

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        try:
            return self.opened()[0].exists()
        except (CassetteError, OSError):
            return True  # what is wrong with it is told when it is read

    @property
    def is_of_this_run(self) -> bool:
        """Whether this run has recorded it already: who repeats tests pays once."""
        try:
            path, reading = self.opened()
            return path.stat().st_mtime >= self.began and reading.read(path).test == self.owner
        except (CassetteError, OSError):
            return False


class ReplaySession(Session):
    """A test that a cassette answers. Time is virtual, and begins when the recording began."""

    def __init__(self, settings: Settings, cassette: Cassette) -> None:
        self._player: Player | None = None
        upstream: LocalUpstream
        tape: Recording | None = None
        try:
            path, reading = cassette.opened()
            tape = reading.read(path, settings.base_url)
            upstream = self._player = Player(
                tape,
                reading,
                base_url=settings.base_url,
                again=cassette.command("all"),
                paced=settings.virtual,
            )
            if settings.cassette_max_age is not None:
                old = tape.older_than(settings.cassette_max_age, cassette.began)
                self.old_recording = old and f"{paragraph(old)}\n    {cassette.command('all')}"
        except CassetteError as error:
            self.refusal = _refusal(error, cassette)
            upstream = Refusing(self.refusal)
        clock: Clock = (
            VirtualClock(began_at=tape.began_at if tape else None) if settings.virtual else RealClock()
        )
        log = ExchangeLog(virtual=settings.virtual)
        wiring = wire(
            upstream,
            base_url=settings.base_url,
            clock=clock,
            log=log,
            limit=settings.request_limit,
            mode="replay",
            api_key=REPLAY_KEY,
        )
        factory = RecordedFactory(
            ask=self._ask,
            api_key=REPLAY_KEY,
            pause=lambda _: None,
            fail=wiring.interceptor.fail,
            exchanges=log,
        )
        super().__init__(settings, wiring, factory)
        self._upstream = upstream

    def _ask(self, request: Request) -> Reply:
        with self.wiring.interceptor.lock:
            return self._upstream.answer(request)

    def _unplayed(self) -> str | None:
        return self._player.unplayed if self._player else None

    def failure_after_teardown(self) -> str | None:
        """Return what fixtures did while recording, and not now, or None."""
        return self._player.unplayed_at_all if self._player else None


class RecordSession(Session):
    """A test that the real API answers, and that is recorded. Waits are real, and as exact as ever.

    Args:
        settings: What was said for this test.

        cassette: What is recorded.

        key: The API key as it was given.

        secrets: Takes the secrets that are sent and seen; nobody is to be shown them.
    """

    records = True

    def __init__(self, settings: Settings, cassette: Cassette, key: str | None, secrets: set[str]) -> None:
        upstream: RemoteUpstream | LocalUpstream
        self._recorder: Recorder | None = None
        self._replaced: list[bytes | None] = []  # what stood in the cassette's place, once it is replaced
        try:
            path, writing = cassette.opened()
            if sockets_blocked():
                self.refusal = paragraph(f"This test cannot be recorded: {SOCKETS_BLOCKED} Nothing was sent.")
            else:
                key = checked_key(key)
                recorder = Recorder(
                    path, writing, settings.base_url, key, began=cassette.began, test=cassette.owner
                )
                recorder.check()
                self._recorder = recorder
        except ValueError as error:
            key = None
            self.refusal = paragraph(f"{error} Nothing was sent.")
        except CassetteError as error:
            self.refusal = _wrapped(str(error))
        upstream = self._recorder or Refusing(self.refusal or "")
        clock: Clock = VirtualClock(paced=True) if settings.virtual else RealClock()
        log = ExchangeLog(virtual=settings.virtual, secrets=secrets)
        wiring = wire(
            upstream,
            base_url=settings.base_url,
            clock=clock,
            log=log,
            limit=settings.request_limit,
            mode="record",
            api_key=key or REPLAY_KEY,
        )
        factory = RecordedFactory(
            ask=self._ask,
            api_key=key or REPLAY_KEY,
            pause=REAL.functions.sleep,
            fail=wiring.interceptor.fail,
            exchanges=log,
        )
        super().__init__(settings, wiring, factory)

    def _allows(self) -> bool:
        return self._recorder is not None and self._recorder.busy

    def _ask(self, request: Request) -> Reply:
        if self._recorder is None or self._libraries is None:
            raise UnanswerableError(self.refusal)
        call = self._recorder.begin(request, self.wiring.clock)
        what: Reply | Exception
        try:
            what = self._libraries.fetch(request, self.settings.base_url)
        except Exception as error:  # noqa: BLE001 - not only httpx's: plugins that block sockets raise their own; each ends the recording
            what = error
        return call.received(what)

    def save(self) -> str | None:
        """Write the cassette, and once more when fixtures have sent something; return why it was not, or None."""
        if self._recorder is None:
            return None
        if not self._replaced:
            path = self._recorder.path
            self._replaced.append(path.read_bytes() if path.is_file() else None)
        try:
            self._recorder.save()
        except CassetteError as error:
            return _wrapped(str(error))
        return None

    def discard(self) -> None:
        """Put back what `save` has replaced."""
        if self._recorder is None or not self._replaced:
            return
        path, before = self._recorder.path, self._replaced.pop()
        if before is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, before)


class Refusing:
    """Answers nothing: the test cannot begin, and this is what whoever asks is told."""

    routable = False

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal

    def knows(self, request: Request) -> bool:
        """Whether it is a request to the batch API."""
        return endpoints.match(request.method, request.path) is not None

    def answer(self, request: Request) -> NoReturn:  # noqa: ARG002 - the signature is that of LocalUpstream
        """Refuse.

        Raises:
            UnanswerableError: Always.
        """
        raise UnanswerableError(self._refusal)


def _refusal(error: CassetteError, cassette: Cassette) -> str:
    if isinstance(error, SettingError):
        return _wrapped(str(error))
    missing = isinstance(error, MissingCassetteError)
    told = (
        "It has not been recorded yet, or under another name. To record it, with a key and for credits:"
        if missing
        else "It is never overwritten by a replay, and never read as less than it was. To fix it, restore the file, or "
        "record it anew, with a key and for credits:"
    )
    lines = [
        _wrapped(f"This test cannot be replayed: {error}"),
        f"{paragraph(told)}\n    {cassette.command('once' if missing else 'all')}",
    ]
    if missing:
        lines.append(paragraph("To have it mocked only, mark the test @pytest.mark.spidra(modes=('mock',))."))
    return "\n\n".join(lines)


def _wrapped(text: str) -> str:
    """Return text with its paragraphs wrapped; what is indented or has a heading above it stays as it is."""
    return "\n\n".join(
        part if part.startswith(" ") or "\n    " in part else paragraph(part) for part in text.split("\n\n")
    )
