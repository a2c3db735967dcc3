"""The scrubber: what it takes out of an interaction, what it refuses, and what it leaves alone."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import string
import sys
import zlib
from contextlib import suppress
from copy import deepcopy
from urllib.parse import quote, unquote_to_bytes

import brotli
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vcr.request import Request
from vcr.serializers import compat, jsonserializer, yamlserializer

from pytest_spidra.cassettes import yaml_text
from pytest_spidra.secrets import compression
from pytest_spidra.secrets.compression import UnsearchableError
from pytest_spidra.secrets.encodings import HiddenKeyError
from pytest_spidra.secrets.scrubber import Scrubber
from pytest_spidra.secrets.search import find_keys, find_secrets

GONE = "[secret 1]"
GONE_FROM_URL = "%5Bsecret%201%5D"
# In one piece, these would look like keys to those who search repositories for them.
KEY = "spd" + "_" + "Zq8Lw3Tn5Rb7Vc9Xk2Mp"
STRANGER = "spd" + "_" + "someone_else-s_key_0a1b2c"
PLAIN_KEY = "vault/4+7=Qx~9:team"  # nothing tells that this is one
BEARER = "eyJhbGciOi" + "J9.e30.c2lnbg"
SIGNED = "https://s3.example/shot.png?X-Amz-Date=20261101&X-Amz-Signature=5e1f"


def a_request(body=None, uri="https://api.spidra.io/api/batch/scrape", **headers):
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return {"method": "POST", "uri": uri, "body": body, "headers": named}


def a_response(body=b"", **headers):
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return {"status": {"code": 200, "message": "OK"}, "headers": named, "body": {"string": body}}


def scrubbed(body, *keys):
    return Scrubber(keys or (KEY,)).response(a_response(body))["body"]["string"]


def scrubbed_json(value, *keys):
    return json.loads(scrubbed(json.dumps(value).encode(), *keys))


def scrubbed_request_json(value, *keys):
    return json.loads(Scrubber(keys or (KEY,)).request(a_request(json.dumps(value).encode()))["body"])


def scrubbed_uri(uri, *keys):
    return Scrubber(keys or (KEY,)).request(a_request(uri=uri))["uri"]


def refused(scrub, *args):
    """Return what is left of the arguments, or the sentence that refuses them."""
    try:
        return scrub(*args)
    except HiddenKeyError as error:
        return str(error)


def escaped(text):
    return "".join(f"\\u{ord(character):04x}" for character in text)


def percent(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


# What a key can look like, and how it is read again without the code under test.

DISGUISES = {
    "as it stands": lambda key: key,
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded to the last letter": percent,
    "percent-encoded twice": lambda key: quote(percent(key), safe=""),
    "percent-encoded thrice": lambda key: quote(quote(percent(key), safe=""), safe=""),
    "escaped": escaped,
    "escaped in part": lambda key: escaped(key[:2]) + key[2:],
    "escaped twice": lambda key: json.dumps(escaped(key))[1:-1],
    "escaped, then percent-encoded": lambda key: quote(escaped(key), safe=""),
    "escaped by JavaScript": lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    "escaped by HTML": lambda key: "".join(f"&#{ord(one)};" for one in key),
    "escaped by HTML in hex": lambda key: "".join(f"&#x{ord(one):X};" for one in key),
    "JSON within a string": lambda key: json.dumps({"a": [key]}),
    "JSON within JSON within JSON": lambda key: json.dumps({"b": json.dumps({"a": json.dumps([key])})}),
    "the name of a field": lambda key: json.dumps({key: 1}),
    "slashes escaped": lambda key: json.dumps([key]).replace("/", "\\/"),
    "hex": lambda key: key.encode().hex(),
    "hex in lines": lambda key: "\n".join(re.findall(".{1,9}", key.encode().hex())),
    "HEX": lambda key: key.encode().hex().upper(),
    **{
        f"{name}, {len(before)} before": lambda key, encode=encode, before=before: encode(
            f"{before}{key}:rest".encode()
        ).decode()
        for name, encode in (
            ("base64", base64.b64encode),
            ("base64url", base64.urlsafe_b64encode),
            ("base64 in lines", lambda raw: b"\r\n".join(re.findall(b".{1,9}", base64.b64encode(raw)))),
            ("base64, percent-encoded", lambda raw: quote(base64.b64encode(raw), safe="").encode()),
        )
        for before in ("", "a", "ab", "user")
    },
    "base64 without more": lambda key: base64.b64encode(key.encode()).decode(),
    "data URL": lambda key: f"data:text/plain;base64,{base64.b64encode(key.encode()).decode()}",
}


DECODINGS = {
    r"%[0-9A-Fa-f]{2}": lambda text: unquote_to_bytes(text.encode("utf-8", "replace")).decode(
        "utf-8", "replace"
    ),
    r"\\u": lambda text: re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text),
    r"\\x": lambda text: re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text),
    r"\\": lambda text: re.sub(r"\\(.)", r"\1", text),
    r"&#\d": lambda text: re.sub(r"&#(\d+);", lambda match: chr(int(match[1])), text),
    r"&#x": lambda text: re.sub(r"&#x([0-9A-Fa-f]+);", lambda match: chr(int(match[1], 16)), text),
}


def strings_of(text):
    waiting = []
    with suppress(ValueError, RecursionError):
        waiting.append(json.loads(text))
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield value


def readings(text, depth=0):
    """Yield what a suspicious reader makes of a text: every way of decoding it, one after the other."""
    yield text
    if depth < 5:
        decoded = {decode(text) for sign, decode in DECODINGS.items() if re.search(sign, text)}
        for other in {*decoded, *strings_of(text)} - {text}:
            yield from readings(other, depth + 1)


def is_read(key, text):
    for reading in set(readings(text)):
        if key in reading:
            return True
        for joined in {reading, "".join(reading.split())}:
            for run in re.findall(r"(?:[0-9a-fA-F]{2}){4,}", joined):
                if key.encode() in bytes.fromhex(run):
                    return True
            for run in re.findall(r"[A-Za-z0-9+/_-]{4,}", joined):
                for cut in range(4):
                    part = run[cut:].replace("-", "+").replace("_", "/")
                    if key.encode() in base64.b64decode(part[: len(part) // 4 * 4]):
                        return True
                    part += "A" * (-len(part) % 4)
                    if key.encode() in base64.b64decode(part):
                        return True
    return False


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("key", [KEY, PLAIN_KEY], ids=["spidra", "any"])
def test_the_reader_sees_through_every_disguise(key, disguise):
    """The tests' own reader, which is to find what the scrubber left."""
    assert is_read(key, f"so: {DISGUISES[disguise](key)}; and on") or is_read(key, DISGUISES[disguise](key))


# These can be taken out where they stand; the others are refused, with their place.
PLAIN = {
    "as it stands",
    "percent-encoded",
    "JSON within a string",
    "JSON within JSON within JSON",
    "the name of a field",
    "slashes escaped",
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("key", [KEY, PLAIN_KEY], ids=["spidra", "any"])
class TestAKeyInDisguise:
    """Nowhere is a key written that anybody could read again, however it is spelt."""

    def test_gets_into_no_text(self, key, disguise):
        for form in ("{}", "so: {}; and on", "so, {}", '"{}', "{}é"):
            text = form.format(DISGUISES[disguise](key))
            clean = refused(lambda text: scrubbed(text.encode(), key).decode(), text)
            assert not is_read(key, clean)
            assert not is_read(key, refused(scrubbed, text, key))
            if disguise in PLAIN:
                assert GONE in clean
            elif "The response body holds" in clean:
                assert re.fullmatch(r"The response body holds an API key (in|as|comp)[\w ,]*\.", clean)

    def test_leaves_the_text_around_it(self, key, disguise):
        if disguise in PLAIN:
            clean = scrubbed(f"so: ({DISGUISES[disguise](key)}) 100% \\n of it".encode(), key).decode()
            assert clean.startswith("so: (")
            assert clean.endswith(") 100% \\n of it")

    def test_gets_into_no_json(self, key, disguise):
        text = DISGUISES[disguise](key)
        clean = refused(scrubbed_json, {"items": [1.50, {"title": f"a {text}", text: "é"}]}, key)
        assert not is_read(key, json.dumps(clean))
        if disguise in PLAIN:
            assert clean["items"][0] == 1.5
            assert clean["items"][1]["title"].startswith("a ")

    def test_gets_into_no_binary(self, key, disguise):
        body = b"\x89PNG\xff\xfe" + DISGUISES[disguise](key).encode() + b"\xff\0\x01"
        clean = refused(lambda body: scrubbed(body, key).decode("latin-1"), body)
        assert not is_read(key, clean)
        if disguise in PLAIN:
            assert clean.startswith("\x89PNG\xff\xfe")
            assert clean.endswith("\xff\0\x01")

    def test_gets_into_no_uri(self, key, disguise):
        text = DISGUISES[disguise](key)
        if text.isprintable() and not set(text) & set('"{} '):
            clean = refused(scrubbed_uri, f"https://api.spidra.io/{text}/a?b={text}", key)
            assert not is_read(key, clean)
            assert "secret" in clean or "The request URI holds" in clean

    def test_gets_into_no_header(self, key, disguise):
        response = a_response(x_echo=f"a {DISGUISES[disguise](key)}")
        clean = refused(lambda: Scrubber([key]).response(response)["headers"]["x-echo"][0])
        assert not is_read(key, clean)

    @pytest.mark.parametrize(
        ("serializer", "binary"),
        [(yamlserializer, False), (yamlserializer, True), (jsonserializer, False), (yaml_text, False)],
        ids=["yaml", "yaml's bytes", "json", "ours"],
    )
    def test_is_found_in_a_file(self, key, disguise, serializer, binary):
        text = f"a fold or two before {'and ' * 40}{DISGUISES[disguise](key)}é "
        body = text.encode() + b"\xff" * binary
        file = a_file(serializer, (a_request(b"{}"), a_response(body)))
        found = find_keys(file, [key])
        assert found
        assert not is_read(key, str(found))
        assert find_keys(file.encode(), [key]) == found


def a_file(serializer, *interactions):
    """Return the text of a cassette as vcrpy writes it."""
    one = [
        {
            "request": compat.convert_to_unicode(Request._from_dict(deepcopy(request))._to_dict()),
            "response": compat.convert_to_unicode(deepcopy(response)),
        }
        for request, response in interactions
    ]
    return serializer.serialize({"version": 1, "interactions": one})


# Properties

letters = st.text(string.ascii_letters + string.digits + "_-.~+/=:", min_size=12, max_size=40)
# With few different letters, a key could come about anywhere by chance.
FRAME = a_file(yamlserializer, (a_request(""), a_response())).lower()
keys = st.sampled_from([KEY, PLAIN_KEY]) | letters.filter(
    lambda key: len(set(key.lower())) > 7 and key.lower() not in FRAME
)
prose = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.sampled_from(
    [
        *("spd_", "Bearer ", "\\u0026", "%", "\\", "screenshotUrl", "cookies", SIGNED, STRANGER),
        *(f"Bearer {BEARER}", '{"cookies": "a=b"}', f'{{"screenshotUrl": "{SIGNED}"}}', GONE, "redacted"),
        *("https://a.example/?sig=ab&x=1", "&#38;", "\\u0000", "?token=", "data: ", "\\ud800"),
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | prose,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(prose, inner, max_size=4) | inner.map(json.dumps)
    ),
    max_leaves=12,
)


@st.composite
def planted(draw):
    """A key, and JSON with the key in some disguise planted somewhere."""
    key = draw(keys)
    before, after = draw(prose), draw(prose)
    secret = f"{before} {DISGUISES[draw(st.sampled_from(sorted(DISGUISES)))](key)} {after}"
    value = secret
    for _ in range(draw(st.integers(0, 4))):
        way = draw(st.integers(0, 4))
        if way == 0:
            value = [draw(values), value, draw(values)]
        elif way == 1:
            value = {draw(prose): draw(values), "it": value}
        elif way == 2:
            value = {secret: value}
        elif way == 3:
            value = json.dumps(value, ensure_ascii=draw(st.booleans()))
        else:
            value = {draw(st.sampled_from(["screenshotUrl", "cookies", "content"])): value}
    return key, json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.none() | st.just(2)))


@settings(max_examples=300, deadline=None)
@given(planted())
def test_a_key_planted_anywhere_is_gone_afterwards_or_refused(case):
    key, text = case
    for scrub in (
        lambda: scrubbed(text.encode(), key).decode(),
        lambda: str(Scrubber([key]).request(a_request(text))["body"]),
    ):
        clean = refused(scrub)
        if clean.endswith(("holds an API key as it is.", "in base64.", "in hex.", "in escapes.")):
            continue
        json.loads(clean)  # JSON stays JSON
        assert not is_read(key, clean)
        assert find_keys(clean, [key]) == []
        assert find_keys(a_file(yaml_text, (a_request(clean), a_response(clean.encode()))), [key]) == []


@settings(max_examples=300, deadline=None)
@given(planted())
@example((KEY, '{"screenshotUrl": "https://a.example/?redacted"}'))
@example((KEY, f'"?sig={KEY[:5]}{KEY})&token=[redacted]"'))
def test_scrubbing_twice_is_scrubbing_once(case):
    key, text = case
    uri = f"https://api.spidra.io/{quote(text)}?key={key}"
    with suppress(HiddenKeyError):
        once = Scrubber([key]).request(a_request(text.encode(), uri=uri))
        assert Scrubber([key]).request(once) == once
        assert Scrubber([key]).request(a_request(text.encode(), uri=uri)) == once
    with suppress(HiddenKeyError):
        once = Scrubber([key]).response(a_response(text.encode(), x_text=text))
        assert Scrubber([key]).response(once) == once


exact = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(exact, st.booleans(), st.none() | st.integers(0, 3))
@example("1E400", False, None)
def test_json_without_a_secret_keeps_its_values_and_can_be_read_by_line(value, ascii_only, indent):
    text = json.dumps({"items": [value], "screenshotUrl": None}, ensure_ascii=ascii_only, indent=indent)
    body = text.encode("utf-8", "backslashreplace")
    clean = scrubbed(body)
    assert json.loads(clean) == json.loads(body)
    assert clean.startswith(b'{\n  "items": [\n    ')
    clean.decode("ascii")
    assert Scrubber([KEY]).request(a_request(body))["body"] == clean


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1E400}',
        '{"a": 1.00000000000000000001}',
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": ' + "9" * 5000 + "}",
        "[" * 100_000 + "]" * 100_000,
        "7",
        '"a"',
        "null",
        "",
    ],
    ids=range(10),
)
def test_json_that_could_not_be_written_again_stays_as_it_is(text):
    assert scrubbed(text.encode()) == text.encode()


def test_what_could_not_be_written_again_is_scrubbed_as_text():
    assert scrubbed(f'{{"a": 1E400, "k": "{KEY}"}}'.encode()) == b'{"a": 1E400, "k": "[secret 1]"}'


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"\x1f\x8b\x08 and nothing of the kind")
@example(b"\0\0\0\x20ftyp")
def test_bytes_without_a_secret_stay_as_they_are(body):
    with suppress(ValueError):
        json.loads(body)
        return
    assert scrubbed(body) == body


@settings(max_examples=300, deadline=None)
@given(planted(), st.binary(max_size=9))
def test_what_is_scrubbed_holds_no_secret_that_can_be_told(case, tail):
    key, text = case
    for body in (text.encode(), text.encode() + b"\xff" + tail):
        request, response = a_request(body, x_api_key=key, cookie="a=b"), a_response(body, set_cookie="a=b")
        scrubber = Scrubber(())
        assert find_secrets(1, scrubber.request(request), scrubber.response(response)) == []


# Numbers


def test_each_value_has_a_number_of_its_own_wherever_it_stands():
    scrubber = Scrubber([KEY])
    request = a_request(
        json.dumps({"urls": [f"https://a.example/?token={BEARER}"], "cookies": "sid=1"}),
        x_api_key=KEY,
        authorization=f"Bearer {KEY}",
        cookie="sid=2",
    )
    clean = scrubber.request(request)
    assert clean["headers"] == {
        "x-api-key": ["[secret 1]"],
        "authorization": ["Bearer [secret 1]"],
        "cookie": ["[secret 2]"],
    }
    body = json.loads(clean["body"])
    assert body == {"urls": ["https://a.example/?token=[secret 3]"], "cookies": "[secret 4]"}
    again = scrubber.request(a_request(json.dumps({"cookies": "sid=1", "prompt": BEARER})))
    assert json.loads(again["body"]) == {"cookies": "[secret 4]", "prompt": "[secret 3]"}


def test_a_placeholder_that_a_page_says_is_no_secrets_number():
    scrubber = Scrubber([KEY])
    scrubber.numbers.reserve(b'{"text": "we write [secret 7]"}')
    assert scrubber.response(a_response(KEY))["body"]["string"] == "[secret 8]"


# Headers


@pytest.mark.parametrize("name", ["authorization", "X-API-Key", "Cookie", "PROXY-Authorization"])
@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("Bearer abc1", f"Bearer {GONE}"),
        (b"Bearer abc1", f"Bearer {GONE}".encode()),
        ("any-thing", GONE),
        (f"Basic {BEARER}", f"Basic {GONE}"),
    ],
)
def test_a_secret_header_of_a_request_is_there_with_a_placeholder(name, value, clean):
    told = Scrubber(()).request({**a_request(), "headers": {name: [value], "accept": ["*/*"]}})
    assert told["headers"] == {name: [clean], "accept": ["*/*"]}


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", b"bearer", GONE, "[redacted]", "DUMMY", "****"])
def test_a_header_without_a_secret_says_so_still(value):
    request = {**a_request(), "headers": {"Authorization": [value]}}
    assert Scrubber([KEY]).request(request)["headers"] == {"Authorization": [value]}
    assert find_secrets(1, request, a_response()) == []


def test_a_header_may_have_one_value_that_is_no_list():
    request = {**a_request(), "headers": {"x-api-key": "ab-cd", "user-agent": f"a {KEY}"}}
    clean = Scrubber([KEY]).request(request)
    assert clean["headers"] == {"x-api-key": GONE, "user-agent": "a [secret 2]"}


def test_cookies_of_a_response_are_dropped():
    clean = Scrubber(()).response(a_response(Set_Cookie="a=b", vary="*"))
    assert clean["headers"] == {"vary": ["*"]}


def test_a_key_in_any_other_header_goes():
    key = PLAIN_KEY
    clean = Scrubber([key]).response(
        a_response(www_authenticate=f'Bearer realm="{key}"', x_two=f"{key}{key}".encode(), x_no="no")
    )
    headers = clean["headers"]
    assert headers["www-authenticate"] == [f'Bearer realm="{GONE}"']
    assert headers["x-two"] == [f"{GONE}{GONE}".encode()]
    assert headers["x-no"] == ["no"]


def test_a_key_in_a_headers_name_goes_however_it_is_written():
    request = {**a_request(), "headers": {f"x-{KEY.lower()}": ["a"], f"x-{KEY}": ["b"]}}
    clean = Scrubber([KEY]).request(request)["headers"]
    assert KEY.lower() not in str(clean).lower()
    assert [value for values in clean.values() for value in values] == ["a", "b"]


def test_a_content_length_follows_the_body():
    body = json.dumps({"echo": KEY, "of": "é"}, ensure_ascii=False).encode()
    for given_body in (body, body.decode()):
        clean = Scrubber([KEY]).response(a_response(given_body, Content_Length=str(len(body))))
        string = clean["body"]["string"]
        assert type(string) is type(given_body)
        length = len(string.encode() if isinstance(string, str) else string)
        assert clean["headers"] == {"Content-Length": [str(length)]}
        clean = Scrubber([KEY]).request(a_request(given_body, content_length=str(len(body))))
        assert clean["headers"] == {"content-length": [str(length)]}


def test_a_content_length_stays_when_the_body_does():
    clean = Scrubber([KEY]).response(a_response(b"", content_length="1234", content_encoding="gzip"))
    assert clean["headers"] == {"content-length": ["1234"], "content-encoding": ["gzip"]}  # a HEAD's
    assert "content-length" not in Scrubber([KEY]).response(a_response(KEY.encode()))["headers"]


# What else


def test_what_is_given_stays_as_it_is():
    request = a_request(json.dumps({"cookies": "a", "k": KEY}).encode(), x_api_key=KEY)
    response = {
        **a_response(gzip.compress(KEY.encode()), content_encoding="gzip", set_cookie="a"),
        "x": [KEY],
    }
    before = deepcopy((request, response))
    Scrubber([KEY]).request(request)
    Scrubber([KEY]).response(response)
    assert (request, response) == before


def test_other_parts_are_kept_and_scrubbed():
    response = a_response(b"a")
    response = {
        **response,
        "status": {"code": 200, "message": f"OK {KEY}"},
        "body": {"string": b"a", "encoding": "utf-8", "raw": KEY.encode()},
        "protocol": "HTTP/2",
        "urls": (KEY, 3),
    }
    clean = Scrubber([KEY]).response(response)
    assert clean["status"] == {"code": 200, "message": f"OK {GONE}"}
    assert clean["body"] == {"string": b"a", "encoding": "utf-8", "raw": GONE.encode()}
    assert clean["protocol"] == "HTTP/2"
    assert clean["urls"] == (GONE, 3)
    assert list(clean) == list(response)
    request = {**a_request(), "tag": KEY}
    assert Scrubber([KEY]).request(request) == {**a_request(), "tag": GONE}


def test_a_request_may_have_no_body():
    assert Scrubber([KEY]).request(a_request())["body"] is None


@pytest.mark.parametrize("body", [iter([b"a"]), [b"a"], {"a": 1}])
def test_a_body_that_is_no_text_and_no_bytes_is_refused(body):
    with pytest.raises(UnsearchableError, match=f"of type {type(body).__name__} cannot be searched"):
        Scrubber([KEY]).request(a_request(body))


def test_the_longest_key_goes_first():
    clean = scrubbed(b"key-0001-extended and key-0001", "key-0001", "key-0001-extended")
    assert clean == b"[secret 1] and [secret 2]"


@pytest.mark.parametrize("keys", [["abcdefg"], ["long enough", ""]])
def test_a_key_too_short_is_refused_without_being_shown(keys):
    for use in (Scrubber, lambda keys: find_keys("", keys)):
        with pytest.raises(ValueError, match="fewer than 8") as caught:
            use(keys)
        assert "abcdefg" not in str(caught.value)


def test_a_key_that_reads_like_a_placeholder_is_no_secret():
    assert scrubbed(b"[redacted] by an actor", "[redacted", "redacted") == b"[redacted] by an actor"


def test_one_key_is_not_taken_for_many():
    assert Scrubber(KEY).request(a_request(KEY))["body"] == GONE


def test_numbers_of_a_key_make_no_broken_json():
    assert scrubbed_json({"a": [12345678, 112345678.5, 1234], "b": "12345678"}, "12345678") == {
        "a": [GONE, "1[secret 1].5", 1234],
        "b": GONE,
    }


def test_a_key_in_a_schema_goes_and_the_names_of_fields_there_stay():
    schema = {"properties": {"token": {"type": "string"}, "password": "a-b"}, "title": KEY}
    assert scrubbed_request_json({"schema": schema}) == {
        "schema": {"properties": {"token": {"type": "string"}, "password": "a-b"}, "title": GONE}
    }


def test_half_a_surrogate_pair_beside_a_secret_stays_half():
    assert scrubbed(b'["\\ud800 %b"]' % KEY.encode()) == b'[\n  "\\ud800 [secret 1]"\n]'


def test_letters_beyond_ascii_are_letters_of_a_key():
    key = "schlüssel-Nr-7"
    for text in (key, quote(key), json.dumps(key), f"\xff{key}"):
        assert "Nr-7" not in scrubbed(text.encode(), key).decode()
    assert b"Nr-7" not in scrubbed(b"\xff" + key.encode(), key)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_key_in_wide_letters_is_refused(encoding):
    body = json.dumps({"a": f"é {KEY}", "b": 1}).encode(encoding)
    with pytest.raises(HiddenKeyError, match="The response body holds an API key in UTF-16"):
        scrubbed(body)


# Fields and forms


@pytest.mark.parametrize("cookies", ["sid=1", {"sid": "1"}, [{"name": "sid"}], 7, True])
def test_cookies_in_a_requests_body_go_at_any_depth(cookies):
    value = {"urls": ["https://a.example"], "cookies": cookies, "a": [{"b": {"cookies": cookies, "c": 1}}]}
    clean = {"urls": ["https://a.example"], "cookies": GONE, "a": [{"b": {"cookies": GONE, "c": 1}}]}
    assert scrubbed_request_json(value) == clean
    nested = scrubbed_request_json({"a": json.dumps({"b": json.dumps(value)})})
    assert json.loads(json.loads(nested["a"])["b"]) == clean
    places = [finding.where for finding in find_secrets(3, a_request(json.dumps(value)), a_response())]
    assert places == ["interaction 3, request body"]


@pytest.mark.parametrize(
    "body", [b'{"cookies": null}', b'{"cookies":""}', b'{"cookies" : "[redacted]"}', b'{"a": "cookies"}']
)
def test_no_cookies_are_no_secret(body):
    assert json.loads(Scrubber(()).request(a_request(body))["body"]) == json.loads(body)
    assert find_secrets(1, a_request(body), a_response()) == []


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        ('{"urls": [], "cookies": "sid=1', f'{{"urls": [], "cookies": "{GONE}'),
        (
            '{"cookies": "sid=1"}\n{"cookies": "sid=2"}',
            f'{{"cookies": "{GONE}"}}\n{{"cookies": "[secret 2]"}}',
        ),
        ('data: {"password":"hunter2"}\n\n', f'data: {{"password":"{GONE}"}}\n\n'),
    ],
)
def test_fields_in_what_is_not_quite_json_go(body, clean):
    assert Scrubber(()).request(a_request(body))["body"] == clean


def test_a_forms_fields_go_by_name():
    request = a_request(b"user=me&password=hunter2&page=2", content_type="application/x-www-form-urlencoded")
    assert Scrubber(()).request(request)["body"] == f"user=me&password={GONE}&page=2".encode()


def test_a_uri_stays_one_that_vcrpy_can_read():
    assert scrubbed_uri("https://vault4key.example/", "Vault4Key") == f"https://{GONE_FROM_URL}.example/"
    for uri in (
        f"https://{KEY}.example/a",
        f"https://{KEY}:x@a.example/",
        f"https://{KEY.lower()}.example/{KEY}",
    ):
        clean = scrubbed_uri(uri)
        assert Request("GET", clean, None, {}).host.endswith("example")
        assert KEY.lower() not in clean.lower()


# Compression

PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "deflate, gzip": lambda body: gzip.compress(zlib.compress(body)),
    "identity": bytes,
}


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize("text", [f"a {KEY}", "a b"])
def test_a_compressed_body_is_kept_unpacked(encoding, text):
    body = PACKERS[encoding](text.encode())
    clean = Scrubber([KEY]).response(
        a_response(body, Content_Encoding=encoding, content_length=str(len(body)))
    )
    plain = text.replace(KEY, GONE).encode()
    assert clean["body"]["string"] == plain
    length = [str(len(plain))]
    assert clean["headers"] == {"content-length": length}
    clean = Scrubber([KEY]).request(a_request(body, content_encoding=encoding))
    assert (clean["body"], clean["headers"]) == (plain, {})


def test_deflate_is_understood_without_its_head_too():
    assert Scrubber([KEY]).response(a_response(raw_deflate(KEY.encode()), content_encoding="deflate"))[
        "body"
    ] == {"string": GONE.encode()}


def test_an_archive_of_several_members_is_read_to_its_end():
    body = gzip.compress(b"a") + gzip.compress(KEY.encode())
    clean = Scrubber([KEY]).response(a_response(body, content_encoding="gzip"))
    assert clean["body"]["string"] == b"a" + GONE.encode()


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, brotli.compress, raw_deflate])
def test_an_archive_that_nobody_announced_is_refused_when_it_holds_a_key(pack):
    with pytest.raises(HiddenKeyError, match="The response body holds an API key compressed"):
        scrubbed(pack(KEY.encode() + bytes(range(256)) * 9))
    with pytest.raises(HiddenKeyError, match="compressed"):
        scrubbed(gzip.compress(pack(KEY.encode() + bytes(range(256)) * 9))[:-4])
    innocent = pack(bytes(range(256)) * 9)
    assert scrubbed(innocent) == innocent


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_an_archive_in_base64_is_refused_when_it_holds_a_key(pack):
    text = base64.b64encode(pack(KEY.encode() * 3)).decode()
    with pytest.raises(HiddenKeyError, match="compressed, in base64"):
        scrubbed_json({"a": [f"data:;base64,{text}"]})
    innocent = base64.b64encode(pack(b"nothing " * 30)).decode()
    assert scrubbed_json([innocent, "H4sIthis_is_not_one_at_all"]) == [innocent, "H4sIthis_is_not_one_at_all"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "compress"])
@pytest.mark.parametrize(
    # An id made of the bytes would hold the second in which gzip packed them, another one in each xdist worker.
    "body",
    [b"\xff\xfe no such thing", gzip.compress(KEY.encode() * 9)[:-9]],
    ids=["nothing packed", "cut off"],
)
def test_a_body_that_does_not_decompress_is_refused(encoding, body):
    response = a_response(body, content_encoding=encoding)
    with pytest.raises(UnsearchableError, match=encoding):
        Scrubber([KEY]).response(response)
    [finding] = find_secrets(4, a_request(), response)
    assert finding.where == "interaction 4, response body"
    assert encoding in finding.what


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_body_that_a_library_has_decompressed_already_is_taken_as_it_is(encoding, as_text):
    text = f'{{"a": "{KEY}"}}'
    clean = Scrubber([KEY]).response(
        a_response(text if as_text else text.encode(), content_encoding=encoding)
    )
    assert clean["headers"] == {}
    assert json.loads(clean["body"]["string"]) == {"a": GONE}


@pytest.mark.parametrize(("encoding", "package"), [("br", "brotli"), ("zstd", "zstandard")])
def test_a_missing_library_is_named(monkeypatch, encoding, package):
    for name in itertools.chain(*compression._LIBRARIES.values()):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        UnsearchableError, match=f"compressed with {encoding} .*: install {package}, or ask for gzip"
    ):
        Scrubber([KEY]).response(a_response(b"plain text", content_encoding=encoding))


def test_a_zstd_body_is_unpacked_with_the_library_that_is_there(monkeypatch):
    class Zstandard:
        class ZstdDecompressor:
            def decompressobj(self):
                return self

            def decompress(self, body):
                return body.removeprefix(b"(\xb5/\xfd")

    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "zstandard", Zstandard)
    clean = Scrubber([KEY]).response(a_response(b"(\xb5/\xfd" + KEY.encode(), content_encoding="zstd"))
    assert clean["body"]["string"] == GONE.encode()


# Findings


def test_secrets_are_told_by_their_places():
    request = a_request(
        json.dumps({"cookies": "sid=1", "note": STRANGER}),
        uri=f"https://a.example/?api_key=abc1&a={STRANGER}",
        authorization="Bearer k1",
        Cookie="sid=1",
        x_note=STRANGER,
    )
    response = a_response(
        json.dumps({"screenshotUrl": SIGNED, "a": f"Bearer {BEARER}"}).encode(),
        Set_Cookie="sid=1",
        location=SIGNED,
    )
    response["status"]["message"] = STRANGER
    found = find_secrets(7, request, response)
    assert {(finding.where, finding.what) for finding in found} == {
        (f"interaction 7, {where}", what)
        for where, what in [
            ("request URI", "api_key in a URL"),
            ("request URI", "a Spidra key"),
            ("request header authorization", "authorization not redacted"),
            ("request header Cookie", "Cookie not redacted"),
            ("request header x-note", "a Spidra key"),
            ("request body", "cookies not redacted"),
            ("request body", "a Spidra key"),
            ("response header Set-Cookie", "Set-Cookie not redacted"),
            ("response header location", "the signature of a URL"),
            ("response body", "the signature of a URL"),
            ("response body", "a bearer token"),
            ("response status", "a Spidra key"),
        ]
    }
    for secret in (STRANGER, BEARER, "sid=1", "5e1f", "abc1"):
        assert secret not in str(found)


def test_a_secret_in_a_headers_name_is_not_shown():
    request = {**a_request(), "headers": {f"x-{STRANGER}": ["a"]}}
    [finding] = find_secrets(1, request, a_response())
    assert finding.where == "interaction 1, a header's name in the request"


def test_redacted_cookies_are_no_finding():
    assert find_secrets(1, a_request(cookie=GONE), a_response(set_cookie="[redacted]")) == []


def test_a_key_is_found_by_its_line():
    lines = [
        "interactions:",
        "- request:",
        f"    uri: a{KEY}",
        "  response:",
        f'    string: "{escaped(KEY)}"',
    ]
    found = find_keys("\n".join([*lines, f"    hex: {KEY.encode().hex()}", "version: 1"]), [KEY])
    assert [(finding.where, finding.what) for finding in found] == [
        ("line 3", "an API key"),
        ("line 5", "an API key in escapes"),
        ("line 6", "an API key in hex"),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        '"a %s\\\n    %s b"',
        '"a %s\\\n   \\%s b"',
    ],
)
def test_a_key_broken_over_lines_by_yaml_is_found(broken):
    half = len(KEY) // 2
    text = f"a: 1\nb:\n  - {broken % (KEY[:half], KEY[half:])}\nc: 2\n".replace('"a ', '"é ')
    if broken == '"a %s\\\n   \\%s b"':
        text = text.replace(f"\\{KEY[half]}", f"\\x{ord(KEY[half]):02x}")
    found = find_keys(text, [KEY])
    assert [finding.where for finding in found] == ["line 3"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress, brotli.compress, raw_deflate])
def test_a_key_in_a_binary_block_is_found(pack):
    body = pack(b"\xff" * 100 + KEY.encode() + b"\xff" * 100)
    file = a_file(yamlserializer, (a_request(b"{}"), a_response(b"a")), (a_request(), a_response(body)))
    lines = file.splitlines()
    block = next(number for number, line in enumerate(lines, 1) if "!!binary" in line)
    [finding] = find_keys(file, [KEY])
    number = int(finding.where.removeprefix("line "))
    assert block <= number
    assert number == block or "base64" in finding.what


def test_a_file_that_is_no_yaml_is_searched_as_it_is():
    assert find_keys(f"a: [\n{KEY}", [KEY])[0].where == "line 2"
    assert find_keys(b"\xff\xfe\n" + KEY.encode(), [KEY])[0].where == "line 2"
    assert find_keys(f"a: !!binary é{KEY}", [KEY])[0].where == "line 1"
    assert find_keys("a: !!binary é", [KEY]) == []
    assert find_keys("", [KEY]) == []
    assert find_keys("a: &x [1, *x]\n*x : 2", [KEY]) == []
    assert find_keys(KEY, []) == []


def test_a_value_that_is_used_twice_is_found_once():
    text = f'a: &x "\\x{ord(KEY[0]):02x}\\\n  {KEY[1:]}"\nb: *x\n'
    assert [finding.where for finding in find_keys(text, [KEY])] == ["line 1"]
