"""Ways to the real host, each a function, and a listener on the loopback in the host's place.

The listener plays the host and any proxy before it: it answers CONNECT, TLS and plain HTTP, and notes the first bytes
of all that it gets. Names lead to it because the functions below the guard that resolve and connect are replaced:
nothing leaves this machine, guard or no guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import multiprocessing
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPSConnection
from socket import create_connection  # some import it like this

import anyio
import httpcore
import httpx
import requests
import trio
import trustme
import urllib3

HOST = "api.spidra.io"
PATH = "/api/batch/scrape"
URL = f"https://{HOST}{PATH}"
PLAIN = f"http://{HOST}{PATH}"
OTHER = f"https://{HOST}/other"
HEAD = f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
HOME = "127.0.0.1"

urllib3.disable_warnings()


# -- the host ------------------------------------------------------------------------------------------


class Listener:
    """What stands in the host's place: at the port that its name leads to, and at another, for a proxy's or an address."""

    def __init__(self):
        self.arrived = []
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(HOST).configure_cert(self._tls)
        self.port, self.named_port = self._listen(), self._listen()
        self.proxy = f"http://{HOME}:{self.port}"

    def _listen(self):
        listening = socket.create_server((HOME, 0), backlog=64)
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        return listening.getsockname()[1]

    def _accept(self, listening):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(20)
        try:
            while first := connection.recv(
                4, 0 if isinstance(connection, ssl.SSLSocket) else socket.MSG_PEEK
            ):
                if isinstance(connection, ssl.SSLSocket):
                    self._answer(connection, first)
                elif first[:1] == b"\x16":
                    self.arrived.append("TLS")
                    connection = self._tls.wrap_socket(connection, server_side=True)
                else:
                    self._answer(connection, b"")
        except OSError:
            pass
        finally:
            connection.close()

    def _answer(self, connection, head):
        if head[:1] in {b"", b"\x04", b"\x05"} and not head:
            head = connection.recv(4096)
        if head[:1] in {b"\x04", b"\x05"}:
            self.arrived.append(f"SOCKS {head!r}")
            connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00" if len(head) > 3 else b"\x05\x00")
            return
        while b"\r\n\r\n" not in head:
            if not (more := connection.recv(4096)):
                return
            head += more
        self.arrived.append(head.decode("latin-1"))
        reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nreal"
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" if head.startswith(b"CONNECT") else reply)


def lead_names_to(port):
    """Let every name of the host lead to the listener, below whatever patches the same functions later."""
    real_resolve, real_by_name, real_by_name_ex = (
        socket.getaddrinfo,
        socket.gethostbyname,
        socket.gethostbyname_ex,
    )
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def is_host(name):
        name = name.decode() if isinstance(name, bytes) else name
        return isinstance(name, str) and name.lower().rstrip(".") == HOST

    def resolve(host, service=None, *args, **kwargs):
        if is_host(host):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOME, port))]
        return real_resolve(host, service, *args, **kwargs)

    def target(address):
        away = isinstance(address, tuple) and (is_host(address[0]) or address[1] in {80, 443, 8443})
        return (HOME, port) if away else address

    socket.getaddrinfo = resolve
    socket.gethostbyname = lambda host: HOME if is_host(host) else real_by_name(host)
    socket.gethostbyname_ex = lambda host: (HOST, [], [HOME]) if is_host(host) else real_by_name_ex(host)
    socket.socket.connect = lambda sock, address: real_connect(sock, target(address))
    socket.socket.connect_ex = lambda sock, address: real_connect_ex(sock, target(address))


def main(*args):
    """Run pytest with the listener in the host's place from the start; plugins may look at what names lead to."""
    import pytest

    listeners.append(Listener())
    lead_names_to(listeners[0].named_port)
    return pytest.main(list(args))


listeners = []


# -- the table -----------------------------------------------------------------------------------------

WAYS = {}
NEEDS = {}
PREPARED = {}


def way(name, *, needs="", before=None):
    """Put a function into the table; `before` makes, before any test, what it is called with."""

    def put(function):
        WAYS[name] = function
        NEEDS[name] = needs
        if before is not None:
            PREPARED[name] = before
        return function

    return put


def missing(name):
    return NEEDS[name] and importlib.util.find_spec(NEEDS[name]) is None


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def run_async(function):
    @functools.wraps(function)
    def run(*args):
        asyncio.run(function(*args))

    return run


def raw(sock, head=HEAD):
    with sock:
        sock.sendall(head)
        sock.recv(100)


# httpx, where no adapter takes the request

for label, url in {
    "another path": OTHER,
    "plain http": PLAIN,
    "another port": f"https://{HOST}:8443{PATH}",
}.items():
    way(f"httpx, {label}")(lambda _, url=url: httpx.get(url, verify=False))
    way(f"httpx, {label}, through a proxy")(
        lambda host, url=url: httpx.get(url, verify=False, proxy=host.proxy)
    )

    @way(f"httpx async, {label}")
    @run_async
    async def _(_, url=url):
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(url)

    @way(f"httpx async, {label}, through a proxy")
    @run_async
    async def _(host, url=url):
        async with httpx.AsyncClient(verify=False, proxy=host.proxy) as client:
            await client.get(url)


@way("httpx, a transport of the user's own")
def _(_):
    class Own(httpx.BaseTransport):
        def handle_request(self, request):
            with httpcore.ConnectionPool(ssl_context=unverified()) as pool:
                return httpx.Response(pool.request(request.method, str(request.url)).status)

    httpx.Client(transport=Own()).get(URL)


@way("httpx, the address with the host's name in a header")
def _(host):
    httpx.get(f"http://{HOME}:{host.port}{PATH}", headers={"host": HOST})


@way("httpx, the address with the host's name for TLS")
def _(host):
    url = f"https://{HOME}:{host.port}{PATH}"
    with httpx.Client(verify=False) as client:
        client.get(url, extensions={"sni_hostname": HOST})


def opened_httpx(_):
    client = httpx.Client(verify=False)
    client.get(OTHER)
    return client


way("httpx, a connection from before", before=opened_httpx)(lambda _, client: client.get(OTHER))


@way("httpx in trio", needs="trio")
def _(_):
    async def ask():
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(OTHER)

    trio.run(ask)


# httpx2


def httpx2():
    import httpx2

    return httpx2


way("httpx2", needs="httpx2")(lambda _: httpx2().get(OTHER, verify=False))
way("httpx2, plain http", needs="httpx2")(lambda _: httpx2().get(PLAIN))
way("httpx2, through a proxy", needs="httpx2")(
    lambda host: httpx2().get(OTHER, verify=False, proxy=host.proxy)
)
way("httpx2, plain http through a proxy", needs="httpx2")(lambda host: httpx2().get(PLAIN, proxy=host.proxy))


@way("httpx2 async", needs="httpx2")
@run_async
async def _(_):
    async with httpx2().AsyncClient(verify=False) as client:
        await client.get(OTHER)


def opened_httpx2(_):
    client = httpx2().Client(verify=False)
    client.get(OTHER)
    return client


way("httpx2, a connection from before", needs="httpx2", before=opened_httpx2)(
    lambda _, client: client.get(OTHER)
)


# httpcore

way("httpcore")(lambda _: httpcore.ConnectionPool(ssl_context=unverified()).request("GET", URL))
way("httpcore, plain http")(lambda _: httpcore.request("GET", PLAIN))
way("httpcore, through a proxy")(
    lambda host: httpcore.HTTPProxy(host.proxy, ssl_context=unverified()).request("GET", URL)
)
way("httpcore, plain http through a proxy")(lambda host: httpcore.HTTPProxy(host.proxy).request("GET", PLAIN))


@way("httpcore async")
@run_async
async def _(_):
    async with httpcore.AsyncConnectionPool(ssl_context=unverified()) as pool:
        await pool.request("GET", URL)


@way("httpcore in trio, plain http through a proxy")
def _(host):
    async def ask():
        async with httpcore.AsyncHTTPProxy(host.proxy) as pool:
            await pool.request("GET", PLAIN)

    trio.run(ask)


def opened_httpcore(_):
    pool = httpcore.ConnectionPool(ssl_context=unverified())
    pool.request("GET", URL)
    return pool


way("httpcore, a connection from before", before=opened_httpcore)(lambda _, pool: pool.request("GET", URL))


# requests and urllib3

ask_requests = functools.partial(requests.get, verify=False, timeout=5)

way("requests")(lambda _: ask_requests(OTHER))
way("requests, plain http")(lambda _: ask_requests(PLAIN))
way("requests, another spelling")(lambda _: ask_requests(OTHER.replace(HOST, "API.Spidra.IO.")))
way("requests, through a proxy")(lambda host: ask_requests(OTHER, proxies={"https": host.proxy}))
way("requests, plain http through a proxy")(lambda host: ask_requests(PLAIN, proxies={"http": host.proxy}))


@way("requests, through a proxy of the environment")
def _(host):
    os.environ["HTTPS_PROXY"] = host.proxy
    try:
        ask_requests(OTHER)
    finally:
        del os.environ["HTTPS_PROXY"]


def opened_requests(_):
    session = requests.Session()
    session.get(OTHER, verify=False, timeout=5)
    return session


way("requests, a connection from before", before=opened_requests)(
    lambda _, session: session.get(OTHER, verify=False, timeout=5)
)
way("requests in a thread")(lambda _: ThreadPoolExecutor(1).submit(ask_requests, OTHER).result())
way("urllib3")(
    lambda _: urllib3.PoolManager(cert_reqs="NONE", retries=False).request("GET", OTHER, timeout=5)
)
way("urllib3, through a proxy")(
    lambda host: urllib3.ProxyManager(host.proxy, cert_reqs="NONE", retries=False).request(
        "GET", OTHER, timeout=5
    )
)
way("urllib3, plain http through a proxy")(
    lambda host: urllib3.ProxyManager(host.proxy, retries=False).request("GET", PLAIN, timeout=5)
)


@way("urllib3, the address with the host's name for TLS")
def _(host):
    pool = urllib3.HTTPSConnectionPool(HOME, host.port, server_hostname=HOST, cert_reqs="NONE", retries=False)
    pool.request("GET", PATH, timeout=5)


# the standard library


def open_url(url, *handlers):
    handlers = (*handlers, urllib.request.HTTPSHandler(context=unverified()))
    urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers).open(url, timeout=5).close()


def by_proxy(host):
    return urllib.request.ProxyHandler({"http": host.proxy, "https": host.proxy})


way("urllib")(lambda _: open_url(URL))
way("urllib, plain http")(lambda _: open_url(PLAIN))
way("urllib, through a proxy")(
    lambda host: urllib.request.build_opener(
        by_proxy(host), urllib.request.HTTPSHandler(context=unverified())
    ).open(URL, timeout=5)
)
way("urllib, plain http through a proxy")(
    lambda host: urllib.request.build_opener(by_proxy(host)).open(PLAIN, timeout=5)
)


def ask(connection, target=PATH):
    connection.request("GET", target)
    connection.getresponse().read()


way("http.client")(lambda _: ask(HTTPSConnection(HOST, context=unverified(), timeout=5)))
way("http.client, plain http")(lambda _: ask(HTTPConnection(HOST, timeout=5)))
way("http.client, a whole URL for a proxy")(
    lambda host: ask(HTTPConnection(HOME, host.port, timeout=5), PLAIN)
)


@way("http.client, a tunnel")
def _(host):
    connection = HTTPSConnection(HOME, host.port, context=unverified(), timeout=5)
    connection.set_tunnel(HOST, 443)
    ask(connection)


def opened_http_client(_):
    connection = HTTPSConnection(HOST, context=unverified(), timeout=5)
    ask(connection)
    return connection


way("http.client, a connection from before", before=opened_http_client)(lambda _, connection: ask(connection))


# sockets


@way("a socket")
def _(_):
    sock = socket.socket()
    sock.connect((HOST, 443))
    raw(sock)


@way("a socket that returns errors")
def _(_):
    sock = socket.socket()
    sock.connect_ex((HOST, 443))
    raw(sock)


way("create_connection")(lambda _: raw(socket.create_connection((HOST, 80), 5)))
way("create_connection by another name")(lambda _: raw(create_connection((HOST, 80), 5)))
way("gethostbyname")(lambda host: raw(create_connection((socket.gethostbyname(HOST), host.port), 5)))
way("gethostbyname_ex")(
    lambda host: raw(create_connection((socket.gethostbyname_ex(HOST)[2][0], host.port), 5))
)


def resolved(_):
    return socket.getaddrinfo(HOST, 443)[0][4]


way("an address from before", before=resolved)(
    lambda _, address: raw(create_connection(address, 5), b"\r\n\r\n")
)
way("a socket from before", before=lambda _: socket.create_connection((HOST, 80), 5))(
    lambda _, sock: raw(sock)
)


@way("a thread that swallows it")
def _(_):
    def swallow():
        with contextlib.suppress(BaseException):
            raw(socket.create_connection((HOST, 80), 5))

    thread = threading.Thread(target=swallow)
    thread.start()
    thread.join()


def to_listener(host):
    return socket.create_connection((HOME, host.port), 5)


way("CONNECT by hand")(lambda host: raw(to_listener(host), f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n".encode()))
way("a whole URL by hand")(lambda host: raw(to_listener(host), f"GET {PLAIN} HTTP/1.1\r\n\r\n".encode()))
way("SOCKS 5 by hand")(
    lambda host: raw(
        to_listener(host), b"\x05\x01\x00\x03" + bytes([len(HOST)]) + HOST.encode() + b"\x01\xbb"
    )
)
way("SOCKS 4a by hand")(
    lambda host: raw(to_listener(host), b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + HOST.encode() + b"\x00")
)


@way("sendmsg by hand")
def _(host):
    with to_listener(host) as sock:
        sock.sendmsg([HEAD])
        sock.recv(100)


way("TLS with the host's name")(
    lambda host: raw(unverified().wrap_socket(to_listener(host), server_hostname=HOST))
)
way("TLS without a name")(lambda host: raw(unverified().wrap_socket(to_listener(host))))


@way("TLS in memory")
def _(host):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = unverified().wrap_bio(incoming, outgoing, server_hostname=HOST)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        with to_listener(host) as sock:
            sock.sendall(outgoing.read())
            sock.recv(10)


def opened_tls(_):
    return unverified().wrap_socket(socket.create_connection((HOST, 443), 5), server_hostname=HOST)


way("a TLS socket from before", before=opened_tls)(lambda _, sock: raw(sock))


# asyncio, uvloop, anyio, trio


async def stream(host, port, head=HEAD, **options):
    reader, writer = await asyncio.open_connection(host, port, **options)
    writer.write(head)
    await writer.drain()
    await reader.read(10)
    writer.close()


CONNECT = f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n".encode()

way("asyncio")(run_async(lambda _: stream(HOST, 443, ssl=unverified())))
way("asyncio, plain")(run_async(lambda _: stream(HOST, 80)))
way("asyncio, the address with the host's name for TLS")(
    run_async(lambda host: stream(HOME, host.port, ssl=unverified(), server_hostname=HOST))
)
way("asyncio, through a proxy")(run_async(lambda host: stream(HOME, host.port, CONNECT)))


@way("asyncio, loop.getaddrinfo")
@run_async
async def _(_):
    loop = asyncio.get_running_loop()
    address = (await loop.getaddrinfo(HOST, 443))[0][4]
    await stream(*address)


@way("asyncio, loop.sock_connect")
@run_async
async def _(_):
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (HOST, 443))
        await loop.sock_sendall(sock, HEAD)
        await loop.sock_recv(sock, 10)


def run_uvloop(function):
    def run(host):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(function(host))

    return run


# Without a guard it would resolve the name in C, past the listener: there is no telling what arrives.
way("uvloop, by name (only guarded)", needs="uvloop")(
    run_uvloop(lambda _: stream(HOST, 443, ssl=unverified()))
)
way("uvloop, the address with the host's name for TLS", needs="uvloop")(
    run_uvloop(lambda host: stream(HOME, host.port, ssl=unverified(), server_hostname=HOST))
)
way("uvloop, through a proxy", needs="uvloop")(run_uvloop(lambda host: stream(HOME, host.port, CONNECT)))


async def by_httpx(host):
    async with httpx.AsyncClient(verify=False, proxy=host.proxy) as client:
        await client.get(PLAIN)


way("httpx on uvloop, plain http through a proxy", needs="uvloop")(run_uvloop(by_httpx))


async def by_aiohttp(host, url=OTHER, **options):
    import aiohttp

    async with (
        aiohttp.ClientSession(trust_env=options.pop("trust_env", False)) as session,
        session.get(url, ssl=False, **options) as response,
    ):
        await response.read()


way("aiohttp", needs="aiohttp")(run_async(by_aiohttp))
way("aiohttp, plain http", needs="aiohttp")(run_async(lambda host: by_aiohttp(host, PLAIN)))
way("aiohttp, through a proxy", needs="aiohttp")(run_async(lambda host: by_aiohttp(host, proxy=host.proxy)))
way("aiohttp, plain http through a proxy", needs="aiohttp")(
    run_async(lambda host: by_aiohttp(host, PLAIN, proxy=host.proxy))
)
way("aiohttp on uvloop, plain http through a proxy", needs="aiohttp")(
    run_uvloop(lambda host: by_aiohttp(host, PLAIN, proxy=host.proxy))
)


def opened_aiohttp(_):
    import aiohttp

    loop = asyncio.new_event_loop()

    async def open_session():
        session = aiohttp.ClientSession()
        async with session.get(OTHER, ssl=False) as response:
            await response.read()
        return session

    return loop, loop.run_until_complete(open_session())


@way("aiohttp, a connection from before", needs="aiohttp", before=opened_aiohttp)
def _(_, prepared):
    loop, session = prepared

    async def use():
        async with session.get(OTHER, ssl=False) as response:
            await response.read()

    loop.run_until_complete(use())


@way("anyio")
def _(_):
    async def connect():
        async with await anyio.connect_tcp(HOST, 80) as connected:
            await connected.send(HEAD)
            await connected.receive()

    anyio.run(connect)


@way("anyio, the address with the host's name for TLS")
def _(host):
    async def connect():
        options = {"tls_hostname": HOST, "ssl_context": unverified(), "tls_standard_compatible": False}
        async with await anyio.connect_tcp(HOME, host.port, tls=True, **options) as connected:
            await connected.send(HEAD)
            await connected.receive()

    anyio.run(connect)


@way("trio, through a proxy")
def _(host):
    async def connect():
        async with await trio.open_tcp_stream(HOME, host.port) as connected:
            await connected.send_all(CONNECT)
            await connected.receive_some(10)

    trio.run(connect)


@way("trio, the address with the host's name for TLS")
def _(host):
    async def connect():
        plain = await trio.open_tcp_stream(HOME, host.port)
        async with trio.SSLStream(plain, unverified(), server_hostname=HOST) as connected:
            await connected.send_all(HEAD)
            await connected.receive_some(10)

    trio.run(connect)


@way("websockets", needs="websockets")
def _(_):
    from websockets.sync.client import connect

    connect(f"wss://{HOST}/socket", ssl=unverified(), open_timeout=5, proxy=None)


@way("websockets async, plain", needs="websockets")
@run_async
async def _(_):
    from websockets.asyncio.client import connect

    async with connect(f"ws://{HOST}/socket", open_timeout=5, proxy=None):
        pass


# libraries in C with a resolver and TLS of their own


@way("curl_cffi", needs="curl_cffi")
def _(host):
    from curl_cffi import CurlOpt, requests

    there = {CurlOpt.RESOLVE: [f"{HOST}:{host.port}:{HOME}"]}
    requests.Session(curl_options=there, verify=False).get(f"https://{HOST}:{host.port}{PATH}")


@way("curl_cffi, through a proxy", needs="curl_cffi")
def _(host):
    from curl_cffi import requests

    requests.get(URL, verify=False, proxy=host.proxy)


@way("pycurl", needs="pycurl")
def _(host):
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, URL)
    curl.setopt(pycurl.CONNECT_TO, [f"{HOST}:443:{HOME}:{host.port}"])
    curl.setopt(pycurl.SSL_VERIFYPEER, 0)
    curl.setopt(pycurl.WRITEFUNCTION, lambda _: None)
    curl.perform()


# children: what they do is out of reach, the key that they do it with is not

CHILD = """
import os, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as sock:
    sock.sendall(f"GET / HTTP/1.1\\r\\nx-api-key: {os.environ.get('SPIDRA_API_KEY')}\\r\\n\\r\\n".encode())
    sock.recv(10)
"""


def child(port):
    sys.argv[1:] = [str(port)]
    exec(CHILD, {})


def in_process(method, target, *args):
    process = multiprocessing.get_context(method).Process(target=target, args=args)
    process.start()
    process.join()
    if process.exitcode:
        msg = f"the child ended with {process.exitcode}"
        raise RuntimeError(msg)


way("a child by fork")(lambda _: in_process("fork", ask_requests, OTHER))
way("child: fork")(lambda host: in_process("fork", child, host.port))
way("child: spawn")(lambda host: in_process("spawn", child, host.port))
way("child: subprocess")(
    lambda host: subprocess.run([sys.executable, "-c", CHILD, str(host.port)], check=True)
)
