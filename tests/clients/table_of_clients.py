"""Every client library in this process, as its users call it, and the exceptions that are its own."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = {"x-api-key": "spd_mine"}
TIMEOUT = 10  # seconds, of every client


@dataclass(frozen=True)
class Client:
    """One way to send a request.

    Args:
        name: The library's.

        ask: Sends a method, URL and JSON body, returns a status and a body.

        errors: What it raises, by the names of transport errors; ``"cut"``: for a body that breaks off.

        others: What it raises for all that `errors` does not name.

        gives_up_on: For which statuses it raises in the end, having tried again.
    """

    name: str
    ask: Callable[[str, str, Any], tuple[int, bytes]]
    errors: dict[str, type[BaseException]] = field(default_factory=dict)
    others: type[BaseException] = Exception
    gives_up_on: tuple[int, ...] = ()

    def __str__(self):
        return self.name

    def error(self, name):
        """Return what it raises for a transport error."""
        return self.errors.get(name, self.others)


def optional(name):
    """Return a library that may be missing, or None."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


# -- httpx and httpx2 ------------------------------------------------------------------------------------


def with_httpx(library):
    def ask(method, url, json):
        with library.Client(headers=KEY, timeout=TIMEOUT) as client:
            response = client.request(method, url, json=json)
            return response.status_code, response.content

    async def ask_async(method, url, json):
        async with library.AsyncClient(headers=KEY, timeout=TIMEOUT) as client:
            response = await client.request(method, url, json=json)
            return response.status_code, response.content

    name = library.__name__
    errors = {
        kind: getattr(library, kind) for kind in dir(library) if kind.endswith(("Error", "Timeout"))
    } | {"cut": library.RemoteProtocolError}
    return [
        Client(name, ask, errors),
        Client(f"{name} async", lambda *args: asyncio.run(ask_async(*args)), errors),
    ]


# -- urllib3 and requests ----------------------------------------------------------------------------------


def with_urllib3(method, url, json):
    with urllib3.PoolManager(retries=False, timeout=TIMEOUT) as pool:
        response = pool.request(method, url, headers=KEY, json=json)
        return response.status, response.data


def with_urllib3_retry(method, url, json):
    retry = urllib3.Retry(3, status_forcelist=[429, 503], allowed_methods=None, backoff_factor=1)
    with urllib3.PoolManager(retries=retry, timeout=TIMEOUT) as pool:
        response = pool.request(method, url, headers=KEY, json=json)
        return response.status, response.data


def with_requests(method, url, json):
    response = requests.request(method, url, headers=KEY, json=json, timeout=TIMEOUT)
    return response.status_code, response.content


def with_requests_retry(method, url, json):
    retry = urllib3.Retry(
        total=3,
        backoff_factor=1,
        status_forcelist=[429, 502, 503],
        allowed_methods=None,
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=retry))
        response = session.request(method, url, headers=KEY, json=json, timeout=TIMEOUT)
        return response.status_code, response.content


URLLIB3 = {
    "ConnectError": urllib3.exceptions.NewConnectionError,
    "ConnectTimeout": urllib3.exceptions.ConnectTimeoutError,
    "ReadTimeout": urllib3.exceptions.ReadTimeoutError,
    "PoolTimeout": urllib3.exceptions.EmptyPoolError,
    "ProxyError": urllib3.exceptions.ProxyError,
}
REQUESTS = {
    "ConnectTimeout": requests.exceptions.ConnectTimeout,
    "ReadTimeout": requests.exceptions.ReadTimeout,
    "PoolTimeout": urllib3.exceptions.EmptyPoolError,  # requests passes it on as it is
    "ProxyError": requests.exceptions.ProxyError,
    "cut": requests.exceptions.ChunkedEncodingError,
}

REQUESTS_RETRY = {"PoolTimeout": urllib3.exceptions.EmptyPoolError}


# -- aiohttp -----------------------------------------------------------------------------------------------


def with_aiohttp(library):
    async def ask(method, url, json):
        timeout = library.ClientTimeout(connect=TIMEOUT, sock_connect=TIMEOUT, sock_read=TIMEOUT)
        async with (
            library.ClientSession(headers=KEY, timeout=timeout) as session,
            session.request(method, url, json=json) as response,
        ):
            return response.status, await response.read()

    errors = {
        "ConnectError": library.ClientConnectorError,
        "ConnectTimeout": library.ConnectionTimeoutError,
        "PoolTimeout": library.ConnectionTimeoutError,
        "ReadTimeout": library.SocketTimeoutError,
        "WriteTimeout": library.SocketTimeoutError,
        "ReadError": library.ClientOSError,
        "WriteError": library.ClientOSError,
        "RemoteProtocolError": library.ServerDisconnectedError,
        "ProxyError": library.ClientProxyConnectionError,
        "cut": library.ClientPayloadError,
    }
    return [Client("aiohttp", lambda *args: asyncio.run(ask(*args)), errors, library.ClientConnectionError)]


def with_httpx_aiohttp(library):
    async def ask(method, url, json):
        async with httpx.AsyncClient(
            transport=library.AiohttpTransport(), headers=KEY, timeout=TIMEOUT
        ) as client:
            response = await client.request(method, url, json=json)
            return response.status_code, response.content

    # What it makes of aiohttp's errors is its own affair; an error it is.
    return [Client("httpx-aiohttp", lambda *args: asyncio.run(ask(*args)), {}, Exception)]


CLIENTS = [
    *with_httpx(httpx),
    Client("urllib3", with_urllib3, URLLIB3, urllib3.exceptions.ProtocolError),
    Client("urllib3, Retry", with_urllib3_retry, {}, urllib3.exceptions.HTTPError, (429, 503)),
    Client("requests", with_requests, REQUESTS, requests.exceptions.ConnectionError),
    Client("requests, Retry", with_requests_retry, REQUESTS_RETRY, OSError),
]
for name, make in {
    "httpx2": with_httpx,
    "aiohttp": with_aiohttp,
    "httpx_aiohttp": with_httpx_aiohttp,
}.items():
    if (module := optional(name)) is not None:
        CLIENTS += make(module)

every_client = pytest.mark.parametrize("client", CLIENTS, ids=str)
