"""Where secrets stand, and what only looks like one: cassettes, the check, the log, and what vcrpy logs."""

from __future__ import annotations

import base64
import html
import json
import logging
from urllib.parse import quote

import pytest

from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.reading import stored_interactions
from pytest_spidra.cassettes.recording import Times
from pytest_spidra.secrets.search import find_keys, find_secrets
from pytest_spidra.traffic.log import ExchangeLog
from pytest_spidra.traffic.redaction import without_keys
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

BASE_URL = "https://api.spidra.io/api"
KEY = "spd" + "_" + "Zq8Lw3Tn5Rb7Vc9Xk2Mp"
# No table knows these: they are secret for where they stand, and for looking like it.
OTHERS = {"of letters and digits": "9fK2mQ7xR4tV1bZ8", "in hex": "5f4dcc3b5aa765d61d8327deb882cf99"}


def sent(headers=None, query="", content=b"", **fields):
    body = content or json.dumps(fields or {"urls": ["https://a.example/"]}).encode()
    return Request("POST", "/batch/scrape", query, {"x-api-key": KEY, **(headers or {})}, body)


def came(value=None, headers=None):
    return Reply.of(200, {"status": "queued"} if value is None else value, headers)


@pytest.fixture
def written(tmp_path):
    """Return the text of the file in which a request and its reply are recorded."""

    def written(request=None, reply=None, keys=(KEY,)):
        path = tmp_path / "a.yaml"
        exchange = (request or sent(), reply or came(), Times(0.0, 0.1, 1, "2026-11-23T12:00:00Z"))
        Format({}).write(path, [exchange], BASE_URL, keys)
        return path.read_text()

    return written


def logged(request, reply):
    log = ExchangeLog()
    number = log.begin(request, "batch.submit", None, 0.0, None)
    log.answered(number, reply)
    log.seen(number, reply, 0.1)
    return f"{log[0]!r}\n{json.dumps(log[0].request_json)}\n{json.dumps(log[0].seen_json)}"


HEADERS = [
    "x-api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-session-token",
    "x-csrf-token",
    "x-xsrf-token",
    "X-Auth",
    "x-auth-token",
    "x-secret",
    "x-password",
    "x-passwd",
    "x-amz-security-token",
    "x-access-key",
    "x-signature",
    "session-id",
    "apikey",
    "x-spidra-api-key",
    "x-client-secret",
    "x-token-value",
    "x-hub-signature-256",
    "x-auth-key",
    "x-oauth-credentials",
    "x-bearer",
]
PARAMETERS = [
    "token",
    "api_key",
    "apikey",
    "key",
    "access_token",
    "auth",
    "session",
    "sessionid",
    "signature",
    "sig",
    "password",
    "client_secret",
]
FIELDS = [
    "token",
    "password",
    "passwd",
    "secret",
    "apiKey",
    "api_key",
    "API-KEY",
    "session",
    "sessionId",
    "authToken",
    "auth",
    "cookies",
    "csrfToken",
    "csrfmiddlewaretoken",
    "client_secret",
    "signature",
    "refresh_token",
    "accessKey",
    "credentials",
    "passphrase",
]

REQUESTS = {
    **{f"header {name}": lambda secret, name=name: sent({name: secret}) for name in HEADERS},
    "a bearer's header": lambda secret: sent({"authorization": f"Bearer {secret}"}),
    "a header named by nobody, after a scheme": lambda secret: sent({"x-forward": f"Bearer {secret}"}),
    **{
        f"parameter {name}": lambda secret, name=name: sent(query=f"page=2&{name}={secret}")
        for name in PARAMETERS
    },
    **{f"field {name}": lambda secret, name=name: sent(**{name: secret}) for name in FIELDS},
    "cookies as a mapping": lambda secret: sent(cookies={"sid": secret}),
    "a field deep in lists": lambda secret: sent(steps=[{"login": [{"password": secret}]}]),
    "a field of JSON in a string": lambda secret: sent(prompt=json.dumps({"token": secret})),
    "a field of JSON that is cut off": lambda secret: sent(content=b'{"token": "%b' % secret.encode()),
    **{
        f"submitted URL, {name}": lambda secret, name=name: sent(
            urls=[f"https://a.example/?p=2&{name}={secret}#top"]
        )
        for name in ("token", "api_key", "session", "access_token", "X-Amz-Signature", "Key-Pair-Id", "sig")
    },
    "a submitted URL's user": lambda secret: sent(urls=[f"https://me:{secret}@a.example/"]),
    "a submitted URL's user, without a name": lambda secret: sent(urls=[f"https://{secret}@a.example/"]),
    "a URL within a URL": lambda secret: sent(
        urls=[f"https://a.example/?next={quote(f'https://b.example/?token={secret}&x=1', safe='')}"]
    ),
    "a form": lambda secret: sent(
        {"content-type": "application/x-www-form-urlencoded"},
        content=f"user=me&password={secret}&p=2".encode(),
    ),
}
REPLIES = {
    **{
        f"header {name}": lambda secret, name=name: came(headers={name: secret})
        for name in ("set-cookie", "x-csrf-token", "x-session-token", "x-auth-token", "x-api-key")
    },
    "a header with a URL": lambda secret: came(headers={"location": f"/login?token={secret}"}),
    **{
        f"field {name}": lambda secret, name=name: came({"items": [{"result": {name: secret}}]})
        for name in ("access_token", "sessionId", "password", "apiKey", "csrf-token")
    },
    **{
        f"page, {name}": lambda secret, name=name: came({"result": f'<a href="/a?b=1&amp;{name}={secret}">'})
        for name in ("token", "sig", "signature", "policy", "X-Goog-Signature")
    },
    "page, a URL's user": lambda secret: came({"result": f"see ftp://me:{secret}@a.example/x"}),
    "page, a bearer": lambda secret: came({"result": f"curl -H 'Authorization: Bearer {secret}'"}),
    "screenshot": lambda secret: came(
        {"screenshotUrl": f"https://s3.example/a.png?X-Amz-Signature={secret}"}
    ),
}


@pytest.mark.parametrize("secret", [*OTHERS, "the key"])
@pytest.mark.parametrize("place", REQUESTS)
def test_no_secret_of_a_request_gets_into_a_cassette_or_the_log(place, secret, written, caplog):
    secret = OTHERS.get(secret, KEY)
    caplog.set_level(logging.DEBUG)
    request = REQUESTS[place](secret)
    text = written(request)
    assert secret not in text
    assert "secret" in text
    assert KEY not in text
    assert secret not in caplog.text
    assert secret not in logged(request, came())


@pytest.mark.parametrize("secret", [*OTHERS, "the key"])
@pytest.mark.parametrize("place", REPLIES)
def test_no_secret_of_a_reply_gets_into_a_cassette(place, secret, written, caplog):
    secret = OTHERS.get(secret, KEY)
    caplog.set_level(logging.DEBUG)
    assert secret not in written(reply=REPLIES[place](secret))
    assert secret not in caplog.text


# How the key can be spelt -------------------------------------------------------------------------------------

TAKEN_OUT = {
    "as it is": str,
    "for a URL": lambda key: quote(key, safe=""),
    "in HTML": html.escape,
    "in JSON": lambda key: json.dumps([key]),
    "in JSON in JSON": lambda key: json.dumps(json.dumps({"a": key})),
    "as a bearer": lambda key: f"Authorization: Bearer {key}",
}
REFUSED = {
    "in escapes": lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    "in hex": lambda key: key.encode().hex(),
    "in base64": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
}
SPOTS = {
    "a header": lambda text: (sent({"x-note": text}), came()),
    "a prompt": lambda text: (sent(prompt=text), came()),
    "a name": lambda text: (sent(**{text: 1}), came()),
    "a page": lambda text: (sent(), came({"items": [{"result": {"text": f"a {text} b"}}]})),
    "a reply's header": lambda text: (sent(), came(headers={"x-echo": text})),
    "no JSON": lambda text: (
        sent(content=b"a %b b" % text.encode()),
        Reply(502, f"<h1>{text}</h1>".encode()),
    ),
}


@pytest.mark.parametrize("key", [KEY, "vault/4+7=Qx~9&team<1>"], ids=["spidra's", "any"])
@pytest.mark.parametrize("spot", SPOTS)
@pytest.mark.parametrize("spelling", TAKEN_OUT)
def test_a_key_that_stands_plainly_is_taken_out(spelling, spot, key, written):
    text = written(*SPOTS[spot](TAKEN_OUT[spelling](key)), keys=[key])
    assert find_keys(text, [key]) == []
    assert "secret" in text


@pytest.mark.parametrize("spot", SPOTS)
@pytest.mark.parametrize("spelling", REFUSED)
def test_a_key_in_an_encoding_is_a_refusal_with_its_place_and_the_hook_that_helps(
    spelling, spot, written, tmp_path
):
    with pytest.raises(CassetteError) as caught:
        written(*SPOTS[spot](REFUSED[spelling](KEY)))
    told = str(caught.value)
    side = "response" if spot in {"a page", "a reply's header"} else "request"
    assert (
        f"a.yaml was not written: in interaction 1, {side} " in told or "header's name in the request" in told
    )
    assert f"stands an API key {spelling}." in told
    assert f'{{"before_record_{side}": without_key}}' in told
    assert KEY not in told
    assert list(tmp_path.iterdir()) == []


def test_vcrpy_logs_no_interaction_before_the_secrets_are_out_of_it(written, caplog):
    caplog.set_level(logging.DEBUG)
    written(sent(cookies="sid=hunter2"), came({"echo": KEY, "token": OTHERS["in hex"]}))
    for secret in (KEY, "hunter2", OTHERS["in hex"]):
        assert secret not in caplog.text


# What only looks like one -------------------------------------------------------------------------------------

INNOCENT = [
    "https://v.example/x?token=plain-a",
    "https://v.example/x?token=blue-widget&page=2",
    "https://v.example/x?key=value&session=morning",
    "https://v.example/returns?policy=returns",
    "https://v.example/guide#token=intro",
    "https://v.example/?sig=12&signature=short",
    "https://v.example/?expires=1767225600&a=2",
    "https://v.example/?auth=basic&api_key=YOUR_API_KEY",
    "https://v.example/?session=2026-11-23",
    "https://v.example/?author=jane&monkey=1&design=b",
    "https://v.example/a:b@c/d",
    "https://v.example/@user/video",
    "mailto:jane.doe@shop.example",
    "https://shop.example:8080/a@b",
    "spd_documentation_page",
    "spd_short and spd_",
    "The bearer certificates of a bearer",
    "Bearer of good news, basic needs",
    "Basic training for beginners, Basic ABCDEFGH",
    "the password must be eight characters long",
    "Password: forgotten? Secret Santa, a session of the council, a token of thanks",
    "sk-learn and sk-SK; sk-wrapper_inner_left-column",
    "ghp_ is how they begin; so do AKIA and xox",
    "AKIA2026 and ASIA-PACIFIC; xoxo, xoxox-hugs",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "a private key is kept, a public one is not",
    "eyJ is how JSON begins in base64; eyJhIjoxfQ",
    "f3a2b1c0-0000-4000-8000-000000000000",
    "5f4dcc3b5aa765d61d8327deb882cf99 is what md5sum says of a file",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "ISBN 978-3-16-148410-0, DE89370400440532013000",
    "pk_live_is_published and so is whsec",
    "npm_config_cache, pypi-server, glpat-short, hf_transfer",
    "cookie policy: we use cookies; cookieConsent=true",
    "hooks.slack.com/services is where webhooks live",
    "aws_secret_access_key is read from the environment",
    "X-Amz-Date=20261101T120000Z and X-Amz-Expires=60 are public",
    "100% of \\u00e9 and %zz; &#38; &amp; C:\\new\\table",
    "{'token': 'a word', \"secret\": \"sauce\"}",
    "日本語のページ, ключ, مفتاح",
]
INNOCENT_FIELDS = [
    {"token": "blue-widget"},
    {"tokens": 512, "token_count": 3, "maxTokens": 9, "tokenType": "Bearer"},
    {"author": "Jane Doe", "authority": "high", "authMethod": "password"},
    {"session": "Morning keynote", "sessionType": "talk", "sessionCount": 2},
    {"secret": True, "password": None, "hasPassword": False, "passwordRequired": "yes"},
    {"cookies": "with chocolate", "cookiePolicy": "strict"},
    {"signature": "Jane Doe, Director"},
    {"key": "value", "keyword": "a1b2c3d4e5f6", "monkey": "a1b2c3d4e5f6", "sku": "AB12-CD34-EF56"},
    {"auth": "https://a.example/login", "csrf": "/csrf/2", "apikey": "YOUR-API-KEY"},
    {"uuid": "f3a2b1c0-0000-4000-8000-000000000000", "jobId": "9fK2mQ7xR4tV1bZ8", "creditsUsed": 2},
]


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_text_comes_back_unchanged(text, written, tmp_path):
    value = {"urls": [text], "prompt": f"({text})", "deep": [{"a": json.dumps([text])}]}
    written(sent(**value), came({"items": [value]}))
    ((request, response),) = stored_interactions(tmp_path / "a.yaml")
    assert json.loads(request["body"]) == value
    assert json.loads(response["body"]["string"]) == {"items": [value]}
    assert find_secrets(1, request, response) == []
    assert json.loads(json.dumps({"items": [value]}))["items"][0] == value
    assert without_keys(text, [KEY]) == text


@pytest.mark.parametrize("fields", INNOCENT_FIELDS, ids=map(str, INNOCENT_FIELDS))
def test_innocent_fields_of_a_page_come_back_unchanged(fields, written, tmp_path):
    written(reply=came({"items": [{"result": fields}]}))
    ((request, response),) = stored_interactions(tmp_path / "a.yaml")
    assert json.loads(response["body"]["string"]) == {"items": [{"result": fields}]}
    assert find_secrets(1, request, response) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"user-agent": "python-httpx/0.28.1", "accept": "*/*", "content-type": "application/json"},
        {
            "x-author": "jane",
            "x-request-id": "9fK2mQ7xR4tV1bZ8",
            "traceparent": "00-4bf92f3577b34da6-00f0-01",
        },
        {
            "x-session-affinity": "eu-1",
            "x-token-type": "jwt",
            "x-cookie-policy": "strict-2",
            "x-max-tokens": "12000",
        },
        {"idempotency-key": "9fK2mQ7xR4tV1bZ8", "if-none-match": '"9fK2mQ7xR4tV1bZ8"'},
    ],
)
def test_innocent_headers_come_back_unchanged(headers, written, tmp_path):
    written(sent(headers), came(headers=headers))
    ((request, response),) = stored_interactions(tmp_path / "a.yaml")
    for name, value in headers.items():
        assert request["headers"][name] == [value]
        assert response["headers"][name] == [value]
