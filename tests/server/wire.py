"""HTTP as bytes on a socket, for tests that say what no library would."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit


def connected(server, patience=10.0):
    """Return a socket that is connected to a server."""
    port = urlsplit(server.base_url).port
    return socket.create_connection(("127.0.0.1", port), timeout=patience)


def request(line, *headers, body=b"", key="spd_wire"):
    """Return a request's bytes; its headers are those that every request needs, and `headers`."""
    head = [line, "host: localhost", f"x-api-key: {key}", *headers]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def submit(*urls, line="POST /api/batch/scrape HTTP/1.1", headers=()):
    """Return a submit's bytes."""
    body = json.dumps({"urls": list(urls) or ["https://a.example/"]}).encode()
    return request(line, f"content-length: {len(body)}", *headers, body=body)


def rest(connection):
    """Return what comes until the server hangs up."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def said(server, data, *, half_closed=True):
    """Send bytes on a connection of their own; return all that comes back."""
    with connected(server) as connection:
        connection.sendall(data)
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        return rest(connection)


def replies(data):
    """Return status, headers and body of each reply in `data`, none of them to a HEAD."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        version, status, *_ = first.split(" ")
        assert version == "HTTP/1.1"
        headers = dict(one.lower().split(": ", 1) for one in lines)
        length = int(headers.get("content-length", 0))
        assert len(data) >= length
        found.append((int(status), headers, data[:length]))
        data = data[length:]
    return found


def statuses(data):
    return [status for status, _, _ in replies(data)]
