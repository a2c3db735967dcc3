"""The network guard around the real API: what no adapter takes does not leave this process.

A request that an adapter does not see (another HTTP library, a transport of the user's own, another path) would go to
the real service and could cost credits. `guarded_calls` lists the calls that it has to pass; here they are patched for
as long as a guard stands. Out of reach are child processes, and libraries in C of which `guarded_calls` has no row.
"""

from __future__ import annotations

import functools
import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_spidra.clients.asked_request import AskedRequest, asked_request
from pytest_spidra.clients.guarded_calls import CALLS, CONNECTED, GuardedCall
from pytest_spidra.clients.late_imports import on_import
from pytest_spidra.clients.refusal import refusal
from pytest_spidra.traffic.address import REAL_HOST
from pytest_spidra.traffic.known_addresses import host_name, is_address_of
from pytest_spidra.traffic.network_errors import sockets_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

LOCAL = ("localhost", "127.0.0.1", "::1")


class HostGuard:
    """Lets nothing pass to some hosts.

    Args:
        hosts: Names of hosts, lower-case.

        fail: Called with a message, raises.

        allow: Whether somebody may pass just now.

        base_url: Below which URL requests are answered.

        fixture: What the user's test has asked for.

        early: Whether it has yet to be set up.
    """

    def __init__(
        self,
        hosts: Collection[str],
        fail: Callable[[str], None],
        *,
        allow: Callable[[], bool],
        base_url: str,
        fixture: str,
        early: bool,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._fail = fail
        self._allow = allow
        self._base_url = base_url
        self._fixture = fixture
        self._early = early
        self._standing = True

    def see_name(self, host: object, how: str, asked: AskedRequest | None = None) -> None:
        """Fail the test when `host` is one of the guarded; `how` and `asked` say what was about to happen."""
        if host_name(host) in self._hosts and not self._allow():
            self._refuse(str(host_name(host)), how, asked)

    def see_address(self, address: object) -> None:
        """Fail the test when a socket is to be connected to a guarded host, by name or by a known address of it."""
        if not isinstance(address, tuple) or len(address) < 2:
            return
        host, port = address[:2]
        self.see_name(host, CONNECTED)
        if isinstance(host, str) and is_address_of(self._hosts, host, port) and not self._allow():
            self._refuse(
                host, "it connected to {host}, which is an address of " + " or ".join(self._hosts), None
            )

    def _refuse(self, host: str, how: str, asked: AskedRequest | None) -> None:
        __tracebackhide__ = True
        on_stack = AskedRequest()
        with suppress(Exception):  # objects of others are asked for their attributes
            on_stack = asked_request()
        if asked is None or on_stack.url:
            asked = on_stack
        elif not asked.library:
            asked = AskedRequest(asked.method, asked.url, on_stack.library)
        self._fail(
            refusal(
                host,
                asked,
                how.format(host=host),
                base_url=self._base_url,
                fixture=self._fixture,
                early=self._early,
            )
        )

    def stand_down(self) -> None:
        """Let everything pass from now on, also where somebody puts our functions back who found them here."""
        self._standing = False

    def guarding(self, function: Callable[..., Any], call: GuardedCall) -> Callable[..., Any]:
        """Return a function that looks where a call goes before it does what it does."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if self._standing:
                call.look(self, args, kwargs)
            return function(*args, **kwargs)

        return guarded


def guarded_hosts(base_url: str) -> frozenset[str]:
    """Return the hosts that a test with this base URL must not reach; this machine itself is none of them."""
    host = urlsplit(base_url).hostname or REAL_HOST
    return frozenset({REAL_HOST} if host in LOCAL else {REAL_HOST, host})


@contextmanager
def block_hosts(
    hosts: Collection[str],
    fail: Callable[[str], None],
    *,
    base_url: str,
    fixture: str = "spidra_mock",
    allow: Callable[[], bool] = lambda: False,
    early: bool = False,
) -> Iterator[None]:
    """Call `fail` with a message when anything in this process is on its way to one of `hosts`.

    Args:
        hosts: Names of hosts, lower-case.

        fail: Called with the message; it raises.

        base_url: Below which URL requests are answered, without a slash at its end.

        fixture: What the user's test has asked for.

        allow: Whether somebody may pass just now: a request that is being recorded.

        early: Whether `fixture` has yet to be set up.
    """
    guard = HostGuard(hosts, fail, allow=allow, base_url=base_url, fixture=fixture, early=early)
    calls: tuple[GuardedCall, ...] = CALLS
    if sockets_blocked():
        # Nobody gets an address, and pytest-socket puts back only what it finds as it has left it.
        calls = tuple(one for one in calls if one.module != "socket" or not one.path.startswith("get"))
    with ExitStack() as stack:
        stack.callback(guard.stand_down)
        missing = {call.module for call in calls} - set(sys.modules)

        def patch(module: str) -> None:
            for call in calls:
                if call.module == module:
                    _patch(stack, guard, call)

        for module in {call.module for call in calls} - missing:
            patch(module)
        stack.enter_context(on_import(missing, patch))
        yield


def _patch(stack: ExitStack, guard: HostGuard, call: GuardedCall) -> None:
    """Patch a function until the stack is closed. A version of its library that has none is left as it is."""
    owner: Any = sys.modules[call.module]
    *classes, name = call.path.split(".")
    parent, inner = owner, ""
    for inner in classes:
        parent, owner = owner, getattr(owner, inner, None)
    # Within a cassette of vcrpy's, its own class stands in the place of http.client's, which has no such methods.
    owner = getattr(owner, "_baseclass", owner)
    function = getattr(owner, name, None)
    if function is None:
        return
    new = guard.guarding(function, call)
    try:
        _replace(stack, owner, name, new)
    except TypeError:  # a class of C takes no patch; one that is made of it does
        _replace(stack, parent, inner, type(inner, (owner,), {name: new, "__module__": call.module}))


def _replace(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    old = vars(owner).get(name)
    setattr(owner, name, new)

    def put_back() -> None:
        if vars(owner).get(name) is not new:
            return  # others have cleared up before us (pytest-socket does), or stand before us
        if old is None:  # it was inherited
            delattr(owner, name)
        else:
            setattr(owner, name, old)

    stack.callback(put_back)


@contextmanager
def key_in_environment(name: str, key: str) -> Iterator[None]:
    """Let an environment variable that is set hold `key`, for this process and for its children.

    Whoever has set it anew meanwhile is left alone.
    """
    real = os.environ.get(name)
    if real is None:
        yield
        return
    os.environ[name] = key
    try:
        yield
    finally:
        if os.environ.get(name) == key:
            os.environ[name] = real
