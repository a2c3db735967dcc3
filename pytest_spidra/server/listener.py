"""A real HTTP/1.1 server on a port, for clients in other processes and other languages.

What comes in over a socket is handed to the same handler as the requests of clients in process, so scripts, log and rules are
the same.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING

from pytest_spidra.server.connection import Connection

if TYPE_CHECKING:
    from pytest_spidra.traffic.pending import RequestHandler

BACKLOG = 1024
IDLE_TIMEOUT = 30.0  # seconds without a byte in the middle of a request, or with a reply that nobody reads
END = 10.0  # seconds that work under way is given when the server stops


class Listener:
    """Listens on a port from the moment it is made, answers from `start` to `stop`.

    Who connects earlier waits. Each connection has a thread of its own.

    Args:
        host: The address to listen on. Other machines reach all but the loopback's.

        port: The port; 0: a free one.

        patience: Seconds without a byte after which a request that is half sent is refused (408), and after
            which a reply that the client does not read is given up.

    Raises:
        OSError: The port is taken, or the address is not this machine's.

        OverflowError: No port has that number.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, idle_timeout: float = IDLE_TIMEOUT) -> None:
        if not 0 <= port <= 65535:  # some of the functions below would take another
            msg = f"{port} is no port: they go from 0 to 65535"
            raise OverflowError(msg)
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        self._socket = socket.create_server((address[0], port), family=family, backlog=BACKLOG)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.idle_timeout = idle_timeout
        self.errors: list[BaseException] = []
        """What went wrong while requests were handled: faults of scripts or of ours, never of clients."""
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._acceptor: threading.Thread | None = None
        self._stopped = False

    def start(self, handler: RequestHandler) -> None:
        """Hand requests to a handler that answers in this process.

        Raises:
            RuntimeError: It was started or stopped before.
        """
        if self._acceptor is not None or self._stopped:
            msg = "a listener is started once"
            raise RuntimeError(msg)
        self._wake, woken = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept_connections,
            args=(handler, woken),
            name=f"pytest-spidra port {self.port}",
            daemon=True,
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Hang up on everybody. When it returns, every thread and every socket is gone. Harmless if repeated.

        What a client waits for, however slow it was scripted to be, ends at once.
        """
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client hung up first
                    connection.shutdown(socket.SHUT_RDWR)
        if self._acceptor is not None:
            self._wake.close()  # whoever waits at the other end reads its end
            self._acceptor.join()
        self._socket.close()
        until = time.perf_counter() + END
        for thread in self._threads:
            if thread is threading.current_thread():  # a script's own function stops the server
                continue
            thread.join(max(until - time.perf_counter(), 0.0))
            if thread.is_alive():
                self.errors.append(RuntimeError("a request was still being handled when the server stopped"))

    def _accept_connections(self, handler: RequestHandler, woken: socket.socket) -> None:
        """Give a thread to everybody who connects, until the server stops."""
        self._socket.settimeout(0)
        with woken, selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while not self._stopped:
                selector.select()
                try:
                    connection, _ = self._socket.accept()
                except (BlockingIOError, ConnectionError):
                    continue  # nobody is there (any more)
                except OSError as error:  # no more file descriptors: there may be some in a moment
                    self.errors.append(error)
                    woken.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        woken.recv(1)
                    continue
                self._serve_connection(connection, handler)

    def _serve_connection(self, connection: socket.socket, handler: RequestHandler) -> None:
        thread = threading.Thread(
            target=Connection(self, connection, handler).serve,
            name=f"pytest-spidra port {self.port} connection",
            daemon=True,
        )
        with self._lock:
            if self._stopped:
                connection.close()
                return
            self._open.add(connection)
            # Who has ended is forgotten here and not by itself, so `stop` misses nobody on the last steps.
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
            thread.start()

    def dismiss(self, connection: socket.socket) -> None:
        """Close a connection; under the lock, so that `stop` shuts down no socket that has its number anew."""
        with self._lock:
            self._open.discard(connection)
            connection.close()
