"""The fake on a loopback port: the wiring of one process."""

from __future__ import annotations

from typing import Any, cast

from pytest_spidra.clients.sockets import Listener
from pytest_spidra.clock.real import RealClock
from pytest_spidra.log import ExchangeLog
from pytest_spidra.mock import SpidraMock
from pytest_spidra.stage import API_KEY, Stage

PREFIX = "/api"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


class SpidraServer(SpidraMock):
    """The fake behind a loopback port, for clients in other processes and in other languages.

    The same words as of `SpidraMock` script it and judge its clients. What differs is the wire: time is real, a
    lost request or reply is a connection that breaks (the log names it as scripted, ``ReadTimeout`` say), what
    the API does not know is a 404, and a URL whose host ends in ``.invalid`` fails unless an outcome says
    otherwise.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(mode="server", **settings)


class Server:
    """The fake service on a port, and everything in between.

    The port is taken at once; requests are answered from `start` to `stop`.

    Args:
        host: The address to listen on.

        port: The port; 0: a free one.

        api_key: The key that users are given. Any key is good until ``api.account.keys`` names those that are.

    Raises:
        OSError: The port is taken, or the address is not this machine's.

        OverflowError: No port has that number.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, api_key: str = API_KEY) -> None:
        self._listener = Listener(host, port)
        self._clock = RealClock()
        name = EVERYWHERE.get(host, host)
        self.stage = Stage(
            base_url=f"http://{f'[{name}]' if ':' in name else name}:{self._listener.port}{PREFIX}",
            clock=self._clock,
            log=ExchangeLog(virtual=False),
            limit=None,
            kind=SpidraServer,
            knows_all=True,
            api_key=api_key,
        )
        self.stage.service.account.invalid_hosts_fail = True

    @property
    def api(self) -> SpidraServer:
        """What users hold."""
        return cast(SpidraServer, self.stage.api)  # the kind that the stage was told to make

    @property
    def errors(self) -> list[BaseException]:
        """What went wrong while requests were handled; the client saw a closed connection."""
        return self._listener.errors

    def start(self) -> None:
        """Answer from now on, and count the seconds from now."""
        self._clock.start()
        self.stage.log.began_at = self._clock.now
        self._listener.start(self.stage.interceptor)

    def stop(self) -> None:
        """Hang up on everybody; no thread and no socket is left."""
        self._listener.stop()
