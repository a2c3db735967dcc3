"""The fake on a loopback port: the wiring of one process."""

from __future__ import annotations

from pytest_spidra.clock.real import RealClock
from pytest_spidra.fixtures.mock import SpidraServer
from pytest_spidra.server.listener import Listener
from pytest_spidra.sessions.wiring import API_KEY, wire_fake
from pytest_spidra.traffic.log import ExchangeLog
from pytest_spidra.verdicts.messages import MARK, rules_summary
from pytest_spidra.verdicts.rules.judge import judge

PREFIX = "/api"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
SILENCE = 10.0  # seconds after which a client that is to time out, and waits on, is hung up on


class Server:
    """The fake service on a port, and everything in between.

    The port is taken at once; requests are answered from `start` to `stop`.

    Args:
        host: The address to listen on.

        port: The port; 0: a free one.

        api_key: The key that users are given. Any key is good until ``api.account.keys`` names those that are.

        way: How a setting is given, in words.

    Raises:
        OSError: The port is taken, or the address is not this machine's.

        OverflowError: No port has that number.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, api_key: str = API_KEY, way: str = MARK
    ) -> None:
        self._listener = Listener(host, port)
        self._clock = RealClock()
        name = EVERYWHERE.get(host, host)
        self.wiring = wire_fake(
            SpidraServer,
            base_url=f"http://{f'[{name}]' if ':' in name else name}:{self._listener.port}{PREFIX}",
            clock=self._clock,
            log=ExchangeLog(virtual=False),
            limit=None,
            mode="server",
            answers_unknown=True,
            api_key=api_key,
            silence=SILENCE,
            way=way,
        )

    @property
    def api(self) -> SpidraServer:
        """What users hold."""
        return self.wiring.api

    @property
    def errors(self) -> list[BaseException]:
        """What went wrong while requests were handled; the client saw a closed connection."""
        return self._listener.errors

    def rules_summary(self) -> str:
        """Return what the rules find in all that was sent, empty where they find nothing."""
        accusations = judge(self.wiring.log)
        return rules_summary(accusations) if accusations else ""

    def start(self) -> None:
        """Answer from now on, and count the seconds from now."""
        self._clock.start()
        self.wiring.log.began_at = self._clock.now
        self._listener.start(self.wiring.interceptor)

    def stop(self) -> None:
        """Hang up on everybody; no thread and no socket is left."""
        self._listener.stop()
