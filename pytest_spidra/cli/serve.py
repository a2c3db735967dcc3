"""``serve``: the fake on a port, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_spidra.cli.troubles import TroubleError
from pytest_spidra.traffic import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.sessions.server import Server
    from pytest_spidra.traffic.exchanges import Exchange
    from pytest_spidra.traffic.log import ExchangeLog

PORT = 8123
LOOK = 0.05  # seconds between two looks at what was answered

EPILOG = """
The script file is Python. It says what fails in the words of the tests:

    from pytest_spidra import completed, failed, service_busy

    def script(spidra_server):
        spidra_server.batch.submit.script(service_busy(retry_after=2))
        spidra_server.batch.outcomes({"https://a.example/": [failed(), completed()]})

Without a script every URL completes, except those whose host ends in .invalid.
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "serve",
        help="answer requests as Spidra's batch API does, on a port of this machine",
        description="Answers requests as Spidra's batch API does, until Ctrl-C. Prints the base URL, then each\n"
        "exchange as it is answered, and at the end what the rules find.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", default=PORT, type=int, help="the port; 0: a free one (default: %(default)s)"
    )
    parser.add_argument("--key", help="the only API key that is good (default: any is)")
    parser.add_argument("--credits", type=int, metavar="N", help="credits that the account has left")
    parser.add_argument("--script", type=Path, metavar="FILE", help="a Python file that says what fails")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until the process is asked to end; return 0.

    Raises:
        TroubleError: It cannot begin.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know fewer letters than a URL has
    server = _server(arguments)
    try:
        account = server.api.account
        if arguments.key is not None:
            account.keys = [arguments.key]
        if arguments.credits is not None:
            account.credits = arguments.credits
        if arguments.script is not None:
            _follow(arguments.script, server)
        with _asked_to_end() as asked:
            server.start()
            _show(server, asked)
    except BrokenPipeError:
        # Who read our output has gone, and Python would complain of that once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        server.stop()
    return 0


def _server(arguments: argparse.Namespace) -> Server:
    try:
        from pytest_spidra.sessions.server import Server
    except ModuleNotFoundError as error:
        if error.name != "h11":
            raise
        msg = "a server needs h11: python -m pip install 'pytest-spidra[server]'"
        raise TroubleError(msg) from error
    address = f"port {arguments.port} of {arguments.host}"
    try:
        settings = {} if arguments.key is None else {"api_key": arguments.key}
        return Server(host=arguments.host, port=arguments.port, **settings)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        plain = str(error.strerror or error).partition(" (while")[0]  # Python adds the address once more
        why = "it is taken; --port 0 picks a free one" if taken else plain
        msg = f"Cannot listen on {address}: {why}."
        raise TroubleError(msg) from error
    except OverflowError as error:
        msg = f"Cannot listen on {address}: ports go from 0 to 65535."
        raise TroubleError(msg) from error


def _follow(path: Path, server: Server) -> None:
    """Let a script file say what fails.

    Raises:
        TroubleError: There is no such file, it is broken, or it has no function ``script``.
    """
    if not path.is_file():
        msg = f"There is no script file {path}."
        raise TroubleError(msg)
    sys.path.insert(0, str(path.parent.resolve()))  # as for any script: it may import its neighbours
    try:
        script = runpy.run_path(str(path)).get("script")
    except (Exception, SystemExit) as error:
        msg = f"The script file {path} is broken: {_told(error, path)}."
        raise TroubleError(msg) from error
    if not callable(script):
        msg = f"The script file {path} defines no function script(spidra_server)."
        raise TroubleError(msg)
    try:
        script(server.api)
    except (Exception, SystemExit) as error:
        msg = f"The function script of {path} failed: {_told(error, path)}."
        raise TroubleError(msg) from error


def _told(error: BaseException, path: Path) -> str:
    """Return an error in one line, with the last line of the script file that led to it."""
    text = " ".join(str(error).split()).rstrip(".")
    line = error.lineno if isinstance(error, SyntaxError) else None
    traceback = error.__traceback__
    while traceback:
        if Path(traceback.tb_frame.f_code.co_filename) == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    told = ": ".join(filter(None, [type(error).__name__, text]))
    already = isinstance(error, SyntaxError)  # it names file and line itself
    return told if line is None or already else f"{told} (line {line})"


@contextlib.contextmanager
def _asked_to_end() -> Iterator[list[int]]:
    """Yield a list that holds a signal once Ctrl-C or SIGTERM came."""
    asked: list[int] = []
    olds = {
        name: signal.signal(name, lambda number, _: asked.append(number))
        for name in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for name, old in olds.items():
            signal.signal(name, old)


def _show(server: Server, asked: list[int]) -> None:
    """Print what happens until somebody asks to end, and then what the rules find."""
    log = server.wiring.log
    news = _News(log)
    told = 0
    _say(server.api.base_url)
    while True:
        over = bool(asked)
        if over:
            server.stop()  # whoever still waits is hung up on, and that is news, too
        for exchange in news.answered():
            _say(line(exchange))
        for error in server.errors[told:]:
            told += 1
            _say(f"pytest-spidra: {type(error).__name__}: {error}", sys.stderr)
        if over:
            break
        time.sleep(LOOK)
    if summary := server.rules_summary():
        _say(f"\n{summary}")
    elif log:
        _say("\nThe rules found nothing to accuse.")


class _News:
    """Finds the exchanges that were answered since one last asked."""

    def __init__(self, log: ExchangeLog) -> None:
        self._log = log
        self._seen = 0
        self._open: list[int] = []

    def answered(self) -> Iterator[Exchange]:
        """Yield each exchange once, when the client has seen what it was to see."""
        count = len(self._log)
        self._open += range(self._seen, count)
        self._seen = count
        for place in list(self._open):
            exchange = self._log[place]
            if exchange.seen is not None:
                self._open.remove(place)
                yield exchange


def line(exchange: Exchange) -> str:
    """Return an exchange in one line: seconds, request, what the client saw, what was scripted."""
    number = f"#{exchange.number}"
    asks, server_side = describe.request(exchange), describe.server_side(exchange)
    text = f"{number:>6} {exchange.sent_at:>8.2f}  {asks:<15} {describe.result(exchange)}"
    return _printable(f"{text}  ({server_side})" if server_side else text)


def _printable(text: str) -> str:
    """Return text without what would move a terminal's cursor; a client may send anything."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _say(text: str, stream: Any = None) -> None:
    print(text, file=stream, flush=True)
