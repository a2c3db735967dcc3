"""One TLS context for all transports of httpx, or httpx2, that want its default."""

from __future__ import annotations

import functools
import inspect
import os
import ssl
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def shared_tls(library: Any) -> Iterator[None]:
    """Let transports that want the library's default TLS context share one.

    Making it is nearly all of what a client costs (some 30 ms), and the SDK's sync client makes one for each
    call. Only the default is shared: ``verify=True`` and no certificate. The rest of the key is what httpx
    makes the default from, and what httpcore sets on a context when it connects, so connections to other
    hosts are what they would have been.
    """
    transports = (library.HTTPTransport, library.AsyncHTTPTransport)
    with ExitStack() as stack:
        for transport in transports:
            stack.enter_context(
                _patched(transport, "__init__", _with_shared_tls(library, transport.__init__))
            )
        yield


@contextmanager
def _patched(owner: type, name: str, new: Callable[..., Any]) -> Iterator[None]:
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


_CONTEXTS: dict[object, ssl.SSLContext] = {}


@functools.lru_cache
def _with_shared_tls(library: Any, init: Callable[..., None]) -> Callable[..., None]:
    # httpx 0.28 moved its arguments, so they go by their names.
    signature = inspect.signature(init)

    @functools.wraps(init)
    def with_shared_tls(*args: Any, **kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs)
        settings = given.arguments
        if settings.get("verify", True) is True and settings.get("cert") is None:
            trust_env, http2 = settings.get("trust_env", True), settings.get("http2", False)
            files = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
            made_from = tuple(os.environ.get(name) for name in (*files, "SSLKEYLOGFILE"))
            key = (library, ssl.SSLContext, trust_env, http2, made_from)
            if key not in _CONTEXTS:
                _CONTEXTS[key] = library.create_ssl_context(trust_env=trust_env)
            settings["verify"] = _CONTEXTS[key]
        init(*given.args, **given.kwargs)

    return with_shared_tls
