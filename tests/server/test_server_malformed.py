"""Whatever comes in over a socket: no 5xx that nobody scripted, no hanging, no end of the server."""

from __future__ import annotations

import json
import sys
import threading

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire import connected, replies, request, said, statuses, submit

from pytest_spidra.sessions.server import Server

PER_EXAMPLE = 4  # each is sent whole and cut off
EXAMPLES = 1250

# -- the parts of a request, each mostly wrong ---------------------------------------------------------------

junk = st.binary(max_size=40)

methods = (
    st.sampled_from(
        [
            *(
                b"GET",
                b"POST",
                b"DELETE",
                b"HEAD",
                b"OPTIONS",
                b"PUT",
                b"PATCH",
                b"TRACE",
                b"CONNECT",
                b"PRI",
            ),
            *(b"", b"get", b"G T", b"G\0T", b"P\xffST", b"X" * 300, b"POST\r", b"POST\t", b" GET"),
        ]
    )
    | junk
)

targets = (
    st.sampled_from(
        [
            *(
                b"/api/batch/scrape",
                b"/api/batch/scrape/",
                b"/api/batch/scrape/x/retry",
                b"/api",
                b"/",
                b"",
                b"*",
            ),
            *(b"/api/batch/scrape?page=-1&limit=x", b"/api/batch/scrape?page=%ff%zz&limit=" + b"9" * 4300),
            *(
                b"/api/batch/scrape?page=" + b"9" * 4299,
                b"/api/batch/scrape?" + b"a&" * 3000,
                b"/api/batch/scrape?key=spd_x",
            ),
            *(
                b"/api/%00",
                b"/api/%",
                b"/api/%zz",
                b"/api/%ff%fe",
                b"/api/batch%2Fscrape",
                b"/api/batch/scrape/%0d%0aX:1",
            ),
            *(
                b"/api/../api/batch/scrape",
                b"//api/batch/scrape",
                b"/api/batch/scrape#x",
                b"/api/b\xc3\xa4",
                b"/api/ a",
            ),
            *(
                b"http://x/api/batch/scrape",
                b"http://",
                b"http://[/api",
                b"ftp://x/api/y",
                b"x:1",
                b"/api/" + b"x" * 20000,
            ),
        ]
    )
    | junk
)

versions = (
    st.sampled_from(
        [b"HTTP/1.1"] * 6
        + [
            *(
                b"HTTP/1.0",
                b"HTTP/2.0",
                b"HTTP/0.9",
                b"HTTP/1.2",
                b"HTTP/9.9",
                b"HTTP/1",
                b"http/1.1",
                b"",
                b"HTTP/1.1 ",
            )
        ]
    )
    | junk
)

hosts = st.sampled_from([[b"host: x"]] * 6 + [[], [b"host: x", b"host: y"], [b"host:"], [b"Host : x"]])

keys = st.sampled_from(
    [[b"x-api-key: spd_a"]] * 6
    + [
        [],
        [b"authorization: Bearer "],
        [b"authorization: Bearer \xff\xfe"],
        [b"x-api-key: \xc3\xa4"],
        [b"x-api-key:\t"],
    ]
)

others = st.lists(
    st.sampled_from(
        [
            *(
                b"expect: 100-continue",
                b"expect: nonsense",
                b"connection: close",
                b"connection: \xff, upgrade",
            ),
            *(b"upgrade: websocket", b"upgrade: h2c", b"content-encoding: gzip", b"content-type: text/plain"),
            *(
                b"x: " + b"y" * 20000,
                b" folded",
                b"\tfolded: y",
                b"no colon",
                b": no name",
                b"x\0: y",
                b"x: \0",
                b"x: a\rb",
            ),
            *(
                b"x y: z",
                b"x: y" * 500,
                b"retry-after: \xf0\x9f",
                b"content-length: 5",
                b"transfer-encoding: chunked",
            ),
        ]
    )
    | junk,
    max_size=3,
)

deep = st.integers(1, 1500).map(lambda depth: b'{"urls": ' + b"[" * depth + b"]" * depth + b"}")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)

bodies = (
    st.just(b'{"urls": ["https://a.example/"]}')
    | st.sampled_from(
        [
            *(b"", b"{", b"null", b"[]", b'""', b"NaN", b'{"urls": NaN}', b'{"urls": []}', b'{"urls": [1]}'),
            *(
                b'{"urls": ["\\ud800"]}',
                b'{"urls": ["https://\\ud800.example"]}',
                b'{"urls": ["http://[::1"]}',
            ),
            *(
                b'{"urls": ["https://a:99999/"]}',
                b'{"urls": ["https://a.example/\\u0000"]}',
                b"\xff\xfe{}",
                b"\xef\xbb\xbf{}",
            ),
            *(b'{"urls": ["https://a.example/"], "schema": 1e999}', b'{"urls": ' + b"9" * 5000 + b"}"),
            *(
                b'{"urls": ["https://a.example/"], "cookies": "\\ud800"}',
                b'{"urls": "https://a.example/"}',
                b"\0" * 100,
            ),
            *(b'{"urls": ["https://a.example/"]}', b'{"urls": ["https://a.example/"], "output": "\\udfff"}'),
        ]
    )
    | st.fixed_dictionaries({"urls": values, "schema": values}).map(lambda value: json.dumps(value).encode())
    | deep
    | junk
)


ODD_LENGTHS = (
    *(
        b"-1",
        b"+5",
        b"1e3",
        b"0x10",
        b"",
        b" ",
        b"5,5",
        b"5,6",
        b"9" * 30,
        b"9" * 5000,
        b"\xb2",
        b"5 5",
        b"1_0",
    ),
)
CODINGS = (*[b"chunked"] * 4, b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"\xff")
ODD_CHUNKS = (
    *(
        b"5\nhello\n0\n\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"zz\r\n",
        b"f" * 25 + b"\r\n",
        b"5\r\nhi\r\n0\r\n\r\n",
    ),
    *(
        b"2\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 20000 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\nbad trailer\r\n\r\n",
    ),
    *(b"0\r\n", b"0\r\nx: y\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"\r\n", b"0x5\r\nhello\r\n0\r\n\r\n"),
    *(b"ffffffff\r\nhello", b"5\r\nhello0\r\n\r\n"),
)
FRAMES = ("right", "right", "right", "lie", "odd", "twice", "none", "chunked", "chunked", "broken", "both")


@st.composite
def framed(draw):
    """A body, and headers that are right or wrong about it."""
    body = draw(bodies)
    size = len(body)
    how = draw(st.sampled_from(FRAMES))
    length = b"content-length: %d" % size
    headers = [length] if how == "right" else []
    if how == "lie":
        wrong = size + draw(st.sampled_from([-3, -1, 1, 5, 10**6, 10**9, 10**19]))
        headers = [b"content-length: %d" % max(wrong, 0)]
    elif how == "odd":
        headers = [b"content-length: " + draw(st.sampled_from(ODD_LENGTHS))]
    elif how == "twice":
        headers = [length, b"content-length: %d" % (size + draw(st.integers(0, 1)))]
    elif how in {"chunked", "both"}:
        headers = [b"transfer-encoding: chunked", *([length] if how == "both" else [])]
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if size else b"0\r\n\r\n"
    elif how == "broken":
        headers = [b"transfer-encoding: " + draw(st.sampled_from(CODINGS))]
        body = draw(st.sampled_from(ODD_CHUNKS) | junk)
    return headers, body


@st.composite
def requests(draw):
    """The bytes of something like a request."""
    headers, body = draw(framed())
    line = b" ".join([draw(methods), draw(targets), draw(versions)])
    lines = [line, *draw(hosts), *draw(keys), *draw(others), *headers]
    end = draw(st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\n\r\n"]))
    return end.join([*lines, b"", b""]) + body


@st.composite
def nearly_right(draw):
    """A request in which one thing is wrong, so that it gets far."""
    headers, body = draw(framed())
    method = draw(st.sampled_from([b"POST", b"GET", b"DELETE", b"HEAD"]) | methods)
    target = draw(
        st.sampled_from([b"/api/batch/scrape", b"/api/batch/scrape/00000001-0000-4000-8000-000000000000"])
        | targets
    )
    return (
        b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"host: x", *draw(keys), *headers, b"", b""])
        + body
    )


@st.composite
def damaged(draw):
    """A request cut off, or with some bytes replaced, or several of them in a row."""
    data = draw(nearly_right() | requests())
    place = draw(st.integers(0, len(data)))
    how = draw(st.sampled_from(["cut", "replaced", "followed"]))
    if how == "cut":
        return data[:place]
    if how == "followed":
        return data + draw(nearly_right())
    return data[:place] + draw(junk) + data[place + draw(st.integers(0, 5)) :]


malformed = st.binary(min_size=1, max_size=200) | requests() | nearly_right() | nearly_right() | damaged()


# -- what is to come of it -----------------------------------------------------------------------------------


def parsed(data, *, to_head):
    """Return the statuses in what came back; with a HEAD among the requests, lengths say nothing."""
    if not to_head:
        return statuses(data)
    heads = [part for part in data.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]
    return [int(part[:3]) for part in heads]


@pytest.mark.slow
@pytest.mark.timeout(180)  # it takes some 20 seconds; more than this is a server that hangs
def test_ten_thousand_malformed_requests_do_no_harm():
    """Each is answered with something below 500, and the server is what it was before."""
    server = Server()
    server.start()
    counts = {}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        several=st.lists(malformed, min_size=PER_EXAMPLE, max_size=PER_EXAMPLE),
        share=st.floats(0, 1, exclude_max=True),
    )
    def harmless(several, share):
        for data in [part for whole in several for part in (whole, whole[: int(len(whole) * share)])]:
            answer = said(server.api, data)
            found = parsed(answer, to_head=b"HEAD" in data)
            assert found or not data
            assert all(status < 500 for status in found), answer
            assert server.errors == []
            for status in found:
                counts[status] = counts.get(status, 0) + 1
            counts["requests"] = counts.get("requests", 0) + 1

    try:
        harmless()
        (reply,) = replies(said(server.api, submit()))
        assert reply[0] == 202
        assert server.errors == []
        assert counts["requests"] >= 10_000
        # Otherwise it would be about one kind of wrong only.
        assert {200, 202, 400, 401, 404, 413, 422, 431} <= set(counts)
    finally:
        server.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pytest-spidra")]


# -- some that once did harm, or easily could ----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",  # of HTTP/2
        b"GET / HTTP/2.0\r\nhost: x\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhi",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",  # h11 would have it a 501
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nhost: x\r\ncontent-length: 5, 6\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_400_in_the_api_s_own_shape(server, data):
    ((status, headers, body),) = replies(said(server, data))

    assert (status, headers["connection"]) == (400, "close")
    assert json.loads(body)["status"] == "error"
    assert len(server.exchanges) == 0


def test_a_length_that_h11_s_own_code_stumbles_over_is_a_400(server, monkeypatch):
    """In h11 before 0.15 a length of thousands of digits is a ValueError of int()."""

    def next_event(self):
        return int("9" * 5000)

    monkeypatch.setattr(h11.Connection, "next_event", next_event)
    assert statuses(said(server, b"")) == [400]


@pytest.mark.parametrize("page", ["-1", "0", "x", "%ff", "9" * 100, "9" * 4299, "9" * 4301, ""])
def test_odd_page_numbers_are_answered(server, page):
    assert statuses(said(server, request(f"GET /api/batch/scrape?page={page}&limit={page} HTTP/1.1"))) == [
        200
    ]


def test_clients_with_many_keys_do_not_get_into_each_other_s_way():
    """The log gives each key a number, and looks for all of them in each reply."""
    server = Server()
    server.start()
    answered = []

    def ask(number):
        for place in range(40):
            data = request("GET /api/batch/scrape HTTP/1.1", key=f"spd_{number}_{place}")
            answered.extend(statuses(said(server.api, data)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # as many turns as an hour has
    try:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        server.stop()
    assert server.errors == []
    assert answered == [200] * 480


def test_a_client_that_hangs_up_at_once_is_no_trouble(server):
    for _ in range(50):
        connected(server).close()
    with connected(server) as connection:
        connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
