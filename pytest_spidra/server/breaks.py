"""What scripted broken connections are on a socket.

A client has connected and sent its request before anything can break here, so it sees fewer errors than in a process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_spidra.traffic.pending import ConnectionLost

RESET, CLOSED = "ReadError", "RemoteProtocolError"

# Broken connections that a client meets before it has sent its request or while it does; the others end in
# the place of a reply.
_RESETS = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ReadError", "WriteError", "WriteTimeout"}
)


def seen_by_socket(lost: ConnectionLost) -> str:
    """Return what the client sees: a connection that is reset, or one that is closed in the place of a reply."""
    return RESET if lost.error in _RESETS else CLOSED


def reset_at_the_end(connection: socket.socket) -> None:
    """Let the close be a reset: no time to linger."""
    with contextlib.suppress(OSError):
        pair = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pair)
