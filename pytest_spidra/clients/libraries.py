"""Which HTTP libraries are answered in this process, and how: each when it is imported, none by us."""

from __future__ import annotations

import functools
import importlib
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from pytest_spidra.clients.adapter import OF_THE_WIRE, Attachment
from pytest_spidra.clients.late_imports import on_import
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.clients.adapter import Adapter
    from pytest_spidra.traffic.pending import RequestHandler
    from pytest_spidra.traffic.request import Request

ADAPTERS = {
    "httpx": ("pytest_spidra.clients.httpx", "HttpxAdapter"),
    "httpx2": ("pytest_spidra.clients.httpx", "HttpxAdapter"),
    "urllib3": ("pytest_spidra.clients.urllib3", "Urllib3Adapter"),
    "requests": ("pytest_spidra.clients.requests", "RequestsAdapter"),
    "aiohttp": ("pytest_spidra.clients.aiohttp", "AiohttpAdapter"),
}

MOCKS = {
    "responses": ("RequestsMock", "start"),
    "requests_mock.mocker": ("MockerCore", "start"),
    "aioresponses.core": ("aioresponses", "start"),
}
"""Where others begin to replace a library's functions, in the middle of a test, too."""


class Libraries:
    """The HTTP libraries of this process, attached to a handler.

    Args:
        handler: Takes the requests.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._attachment = Attachment(handler)
        self._adapters: list[Adapter] = []
        self._attached: set[int] = set()
        self._opened = ExitStack()
        missing = {*ADAPTERS, *MOCKS} - set(sys.modules)
        for name in (*ADAPTERS, *MOCKS):
            if name not in missing:
                self._attach(name)
        self._opened.enter_context(on_import(missing, self._attach))

    def _attach(self, name: str) -> None:
        """Attach to a library, or to a plugin that replaces functions of one."""
        module = sys.modules[name]
        if name in MOCKS:
            self._opened.enter_context(
                _called_after(getattr(module, MOCKS[name][0]), MOCKS[name][1], self.repatch)
            )
        elif id(module) not in self._attached:  # httpx may be httpx2 under another name
            self._attached.add(id(module))
            ours, kind = ADAPTERS[name]
            self._adapters.append(getattr(importlib.import_module(ours), kind)(self._attachment, module))

    def repatch(self) -> None:
        """Stand before everybody who has replaced functions of the libraries since."""
        for adapter in self._adapters:
            adapter.repatch()

    def close(self) -> None:
        """Take no more requests, and put everything back; once more, when others have put us back meanwhile."""
        self._attachment.closed = True
        self._opened.close()
        for adapter in reversed(self._adapters):
            adapter.close()

    def fetch(self, request: Request, base_url: str) -> Reply:
        """Send a request of our own past the handler and return its reply.

        Raises:
            httpx.HTTPError: There is none.
        """
        import httpx

        with self._attachment.bypass(), httpx.Client(timeout=60.0) as client:
            response = client.request(
                request.method,
                base_url + request.target,
                headers=dict(request.headers),
                content=request.content,
            )
        headers = {name.lower(): value for name, value in response.headers.items() if name not in OF_THE_WIRE}
        return Reply(response.status_code, response.content, headers)


@contextmanager
def _called_after(owner: Any, name: str, call: Any) -> Iterator[None]:
    """Call `call` after each call of a method, until the block ends."""
    method = vars(owner)[name]

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        call()
        return result

    setattr(owner, name, called)
    try:
        yield
    finally:
        if vars(owner)[name] is called:
            setattr(owner, name, method)
