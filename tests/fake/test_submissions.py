"""What a submit may say, and the sentences for what is wrong with it."""

import json

import pytest
from fake_client import BATCHES, KEY, Client, urls
from hypothesis import given, settings
from hypothesis import strategies as st

REQUIRED = "At least one URL is required."
NO_ARRAY = "urls must be an array of strings."
PRIVATE = "urls[0] points to a private or internal address."
INVALID = "urls[0] is not a valid URL."
SCHEME = "urls[0] must begin with http:// or https://."
GOOD = "https://example.com/a"

ALL_FIELDS = {
    "prompt": "The title",
    "output": "markdown",
    "schema": {"type": "object", "properties": {"title": {"type": "string"}}},
    "useProxy": True,
    "proxyCountry": "eu",
    "extractContentOnly": True,
    "cookies": "session=1",
    "screenshot": True,
    "fullPageScreenshot": True,
    "scrapeMode": "fast",
}
BOOLEANS = ["useProxy", "extractContentOnly", "screenshot", "fullPageScreenshot"]
TEXTS = ["prompt", "output", "proxyCountry", "cookies", "scrapeMode"]


def post(client, content, path=BATCHES):
    return client.send("POST", path, content)


def submit(client, body):
    return post(client, json.dumps(body).encode())


def refused(reply):
    """Return the sentences of a 422, the rest of its body being as it must."""
    assert reply.status == 422, reply.json
    assert list(reply.json) == ["status", "message", "errors"]
    assert (reply.json["status"], reply.json["message"]) == ("error", "Request validation failed.")
    return reply.json["errors"]


# -- accepted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 49, 50])
def test_one_to_fifty_urls_are_taken(client, count):
    reply = client.submit(count)
    assert (reply.status, reply.json["total"]) == (202, count)


@pytest.mark.parametrize(
    "options",
    [
        ALL_FIELDS,
        *[{name: value} for name, value in ALL_FIELDS.items()],
        {"prompt": ""},
        {"output": "json"},
        {"scrapeMode": "default"},
        {"schema": {}},
        {"proxyCountry": "us"},
        {"fullPageScreenshot": True, "screenshot": False},
        {"use_proxy": True},
        {"unknown": None},
    ],
    ids=lambda options: ",".join(f"{name}={str(value)[:9]}" for name, value in options.items())[:50],
)
def test_these_options_are_taken(client, options):
    assert client.submit(1, **options).status == 202


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com:8443/a?b=c#d",
        "HTTPS://EXAMPLE.COM/",
        "https://user:password@example.com/",
        "https://bücher.example/ü",
        "http://8.8.8.8/",
        "http://134744072/",
        "http://[2606:4700:4700::1111]/",
        "https://localhost.example.com/",
        "https://notlocalhost/",
        "https://example.com/?to=http://127.0.0.1/",
        "https://does-not-resolve.invalid/",
        "http://172.32.0.1/",
        "http://192.169.0.1/",
    ],
)
def test_public_addresses_are_taken(client, url):
    reply = client.submit([url])
    assert reply.status == 202
    assert client.items(reply.json["batchId"])[0]["url"] == url


def test_a_trailing_slash_is_taken(client):
    content = json.dumps({"urls": [GOOD]}).encode()
    reply = post(client, content, f"{BATCHES}/")
    assert reply.status == 202
    path = f"{BATCHES}/{reply.json['batchId']}"
    assert client.send("GET", f"{path}/").status == 200
    assert client.send("POST", f"{path}/retry/").json["code"] == "NO_FAILED_ITEMS"
    assert client.send("GET", f"{BATCHES}/").json["pagination"]["total"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b'{"urls": ["https://example.com/a"], "useProxy": false}',
        b'{"urls":["https://example.com/a"]}',
        b'\n{ "urls" : [ "https:\\/\\/example.com/a" ] }\n',
        '{"urls": ["https://example.com/ü"]}'.encode(),
    ],
)
def test_json_is_taken_however_it_is_written(client, content):
    assert post(client, content).status == 202


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}], ids=str)
def test_a_content_type_is_not_asked_for(client, headers):
    content = json.dumps({"urls": [GOOD]}).encode()
    assert client.send("POST", BATCHES, content, {**KEY, **headers}).status == 202


def test_cookies_are_never_kept(client):
    batch_id = client.submitted(1, **ALL_FIELDS)
    assert "session=1" not in repr(client.service.batches[batch_id])


def test_further_outputs_are_taken_if_the_account_has_them():
    client = Client(outputs=["json", "text"])
    assert client.submit(1, output="text").status == 202
    assert refused(client.submit(1, output="markdown")) == ["output must be one of json, text."]


# -- 422 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [REQUIRED]),
        ({"prompt": "The title"}, [REQUIRED]),
        ({"urls": []}, [REQUIRED]),
        ({"urls": None}, [REQUIRED]),
        ({"urls": GOOD}, [NO_ARRAY]),
        ({"urls": {"url": GOOD}}, [NO_ARRAY]),
        ({"urls": 0}, [NO_ARRAY]),
        ({"urls": ""}, [NO_ARRAY]),
        ({"urls": False}, [NO_ARRAY]),
        ({"urls": [{"url": GOOD}]}, ["urls[0] must be a string."]),
        ({"urls": [GOOD, None, 1]}, ["urls[1] must be a string.", "urls[2] must be a string."]),
        ({"urls": urls(51)}, ["A batch takes at most 50 URLs."]),
        ({"urls": [*urls(50), "x"]}, ["A batch takes at most 50 URLs.", SCHEME.replace("0", "50")]),
        ({"urls": [GOOD, "ftp://a.example"]}, [SCHEME.replace("0", "1")]),
        ({"urls": [GOOD], "output": "text"}, ["output must be one of json, markdown."]),
        ({"urls": [GOOD], "output": ""}, ["output must be one of json, markdown."]),
        ({"urls": [GOOD], "scrapeMode": "slow"}, ["scrapeMode must be one of default, fast."]),
        ({"urls": [GOOD], "schema": {"type": "array"}}, ["schema must have an object at its root."]),
        ({"urls": [GOOD], "schema": []}, ["schema must be a JSON Schema object."]),
        ({"urls": [GOOD], "schema": "{}"}, ["schema must be a JSON Schema object."]),
        ({"urls": [], "prompt": 1, "output": "x"}, [REQUIRED, "prompt must be a string.", "output must be one of json, markdown."]),
        ([], ["The request body must be a JSON object."]),
        ([GOOD], ["The request body must be a JSON object."]),
        ("", ["The request body must be a JSON object."]),
        (0, ["The request body must be a JSON object."]),
        (None, ["The request body must be a JSON object."]),
    ],
    ids=lambda value: json.dumps(value)[:50],
)  # fmt: skip
def test_a_wrong_body_is_422_with_a_sentence_for_each_problem(client, body, errors):
    assert refused(submit(client, body)) == errors
    assert client.list().json["pagination"]["total"] == 0
    assert client.ledger["reserved"] == 0


@pytest.mark.parametrize("name", BOOLEANS)
@pytest.mark.parametrize("value", ["true", 1, 0, None, [], {}], ids=repr)
def test_a_flag_must_be_a_boolean(client, name, value):
    assert refused(client.submit(1, **{name: value})) == [f"{name} must be a boolean."]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [True, 1, None, [], {}], ids=repr)
def test_a_text_must_be_a_string(client, name, value):
    assert refused(client.submit(1, **{name: value})) == [f"{name} must be a string."]


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("", SCHEME),
        ("example.com", SCHEME),
        ("//example.com", SCHEME),
        ("ftp://example.com", SCHEME),
        ("file:///etc/passwd", SCHEME),
        ("javascript:alert(1)", SCHEME),
        ("httpss://example.com", SCHEME),
        ("http:example.com", INVALID),
        ("http://", INVALID),
        ("http:///path", INVALID),
        ("https://:443/", INVALID),
        ("https://example.com:99999/", INVALID),
        ("https://example.com:port/", INVALID),
        ("https://[::1", INVALID),
        ("https://exam ple.com/", INVALID),
        ("https://example.com/a b", INVALID),
        (" https://example.com/", INVALID),
        ("https://example.com/\n", INVALID),
        ("https://exam\0ple.com/", INVALID),
    ],
    ids=repr,
)
def test_what_is_no_web_address_is_422(client, url, error):
    assert refused(client.submit([url])) == [error]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "app.localhost",
        "a.b.localhost",
        "127.0.0.1",
        "127.0.0.1.",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - nothing binds here
        "255.255.255.255",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "10.1",
        "0",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd12:3456:789a::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
    ],
)
@pytest.mark.parametrize("form", ["http://{}", "https://user:password@{}:8443/path?query#fragment"])
def test_a_private_or_internal_address_is_422(client, host, form):
    assert refused(client.submit([form.format(host)])) == [PRIVATE]


def test_one_bad_url_refuses_the_whole_batch(client):
    errors = refused(client.submit([GOOD, "http://10.0.0.1/", GOOD, "nonsense"]))
    assert errors == [PRIVATE.replace("0", "1"), SCHEME.replace("0", "3")]
    assert client.jobs() == []


def test_unknown_fields_are_422_if_the_account_refuses_them():
    client = Client(refuse_unknown_fields=True)
    assert refused(client.submit(1, use_proxy=True, URLS=[])) == [
        "Unknown field: use_proxy.",
        "Unknown field: URLS.",
    ]
    assert client.submit(1, **ALL_FIELDS).status == 202


# -- 400 and the order of refusals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"urls=https://example.com",
        b"{'urls': []}",
        b"\xff\xfe\xfd",
        b'{"urls": ["https://example.com/a"],}',
        b'{"urls": ["https://example.com/a"]} x',
        b'{"urls": ["https://example.com/a"], "schema": {"default": NaN}}',
        b'{"urls": ["https://example.com/a"], "schema": {"default": -Infinity}}',
        b"[" * 100_000,
        b"1" * 5_000,
    ],
    ids=lambda content: repr(content[:70]),
)
def test_what_is_no_json_is_400(client, content):
    reply = post(client, content)
    assert (reply.status, list(reply.json), reply.json["status"]) == (400, ["status", "message"], "error")
    assert client.jobs() == []


def test_the_key_is_looked_at_before_the_body(client):
    assert client.send("POST", BATCHES, b"{", {}).status == 401


def test_the_body_is_looked_at_before_the_credits():
    assert Client(credits=0, payment_overdue=True, pending_cap=0).submit([]).status == 422


# -- anything at all -------------------------------------------------------------------------------------

quick = settings(deadline=None, derandomize=True, max_examples=150)

# Characters with surrogates: JSON may hold them, as "\ud800".
texts = st.text(st.characters(), max_size=8)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
addresses = st.builds("{}{}{}".format, st.sampled_from(["http://", "https://", "http://[", ""]), texts, texts)
bodies = values | st.builds(
    dict.__or__,
    st.fixed_dictionaries({"urls": st.lists(addresses | st.just(GOOD) | values, max_size=4) | values}),
    st.dictionaries(st.sampled_from(list(ALL_FIELDS)) | texts, values, max_size=3),
)
accounts = st.fixed_dictionaries(
    {
        "credits": st.integers(0, 8),
        "pending_cap": st.none() | st.integers(0, 4),
        "payment_overdue": st.booleans(),
        "refuse_unknown_fields": st.booleans(),
    }
)


def assert_answered(client, reply):
    """The reply is one of a submit's, and what was accepted can be looked at."""
    assert reply.status in {202, 400, 401, 402, 403, 422, 429}
    if reply.status == 202:
        assert client.get(reply.json["batchId"]).json["totalUrls"] == reply.json["total"]
        assert len(client.jobs()) == 1
    else:
        assert reply.json["status"] == "error"
        assert reply.json["message"]
        assert client.jobs() == []


@pytest.mark.parametrize(
    "body", [{"urls": ["https://example.com/\ud800"]}, {"urls": [GOOD], "\ud800": 1}], ids=ascii
)
def test_half_a_surrogate_pair_is_answered(body):
    r"""JSON may hold one, as "\ud800"."""
    client = Client(refuse_unknown_fields=True)
    assert_answered(client, submit(client, body))


@quick
@given(bodies, accounts)
def test_any_json_value_is_answered(body, account):
    client = Client(**account)
    assert_answered(client, submit(client, body))


@quick
@given(st.lists(addresses, min_size=1, max_size=4))
def test_any_list_of_texts_is_answered(listed):
    client = Client()
    assert_answered(client, client.submit(listed))


@quick
@given(st.binary() | st.binary().map(lambda some: b'{"urls": ["https://example.com/' + some + b'"]}'))
def test_any_bytes_are_answered(content):
    client = Client()
    assert_answered(client, post(client, content))


@quick
@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_any_body_of_a_retry_is_answered(content):
    client = Client()
    assert client.retry(client.place(3, failing=1), content).status in {202, 400}


@quick
@given(texts, texts)
def test_any_page_and_limit_are_answered(page, limit):
    client = Client()
    client.submit(1)
    reply = client.send("GET", BATCHES, query=f"page={page}&limit={limit}")
    assert reply.status == 200
    assert 1 <= reply.json["pagination"]["limit"] <= 50
    assert reply.json["pagination"]["page"] >= 1
