"""A cassette that does not fit, or is no whole one, fails the test, says why, and stays as it is."""

from __future__ import annotations

import json
import re

import httpx
import pytest
import vcr
import yaml
from users_suite import KEY, failure

ONE = """
import os

def test_prices(spidra_api):
    looks, body, order = os.environ.get("SHOP", "2  ").split(" ")
    with plain(spidra_api) as client:
        options = {"proxyCountry": "de"} if body else {}
        if order == "list":
            client.get("/batch/scrape")
        batch = submit(client, URLS[:1] if body else URLS, **options)
        if order == "cancel":
            client.delete(f"/batch/scrape/{batch}")
        for _ in range(int(looks)):
            look(client, batch)
            time.sleep(PAUSE)
"""

JSON = """
import pytest
@pytest.fixture
def spidra_vcr_config():
    return {"serializer": "json"}
"""

INI = "spidra_modes = replay\n"

FIX_FILE = (
    "It is never overwritten by a replay, and never read as less than it was. To fix it, restore the file, or record it "
    'anew, with a key and for credits: pytest "test_shop.py::test_prices[replay]" --spidra-record=all'
)


@pytest.fixture
def recorded(suite, record, cassettes):
    """Record the test; return how it is run again."""
    run = suite(ONE, ini=INI)
    run(*record()).assert_outcomes(passed=1)
    return run


@pytest.fixture
def cassette(recorded, cassettes):
    """The recorded cassette's file."""
    return cassettes["test_prices.yaml"]


@pytest.fixture
def replayed(recorded, cassettes, api):
    """Replay; return the message, after a look that nothing was sent and no file was touched."""

    def replayed(*args):
        api.requests()
        before = cassettes.content
        result = recorded("-o", f"spidra_base_url={api.url}", *args)
        result.assert_outcomes(failed=1)
        assert cassettes.content == before
        assert api.requests() == []
        return failure(result)

    return replayed


OTHER_CLIENTS = {
    "one look more": (
        "3  ",
        "asked GET /batch/scrape/{id}",
        "recorded no more about this batch: all that was recorded has been asked for",
        "played #3 get {short} (200 completed 2/2)",
    ),
    "another body": (
        "2 other ",
        "asked POST /batch/scrape (1 URL)",
        "recorded #1 submit 2 URLs (202 queued), in this place",
        'proxyCountry asked "de" recorded -',
        'urls asked ["https://shop.example/1"] recorded ["https://shop.example/1", "https://shop.example/2"]',
    ),
    "another request first": (
        "2  list",
        "asked GET /batch/scrape",
        "recorded #1 submit 2 URLs (202 queued), in this place",
    ),
    "another request about the batch": (
        "2  cancel",
        "asked DELETE /batch/scrape/{id}",
        "recorded #2 get {short} (200 running 0/2), in this place",
        "played #1 submit 2 URLs (202 queued) #2 get",
    ),
}


@pytest.mark.parametrize("client", OTHER_CLIENTS)
def test_a_client_that_asks_for_something_else_is_told_what_was_recorded(
    client, replayed, cassette, monkeypatch
):
    does, *lines = OTHER_CLIENTS[client]
    monkeypatch.setenv("SHOP", does)
    batch = json.loads(interactions(cassette)[0]["response"]["body"]["string"])["batchId"]

    told = replayed()

    assert told.startswith(f"The client asked for what {cassette} does not hold here.")
    for line in lines:
        assert line.format(id=batch, short=batch[:8]) in told
    assert "Recorded were 3 exchanges:" in told
    assert told.count("The client asked for what") == 1
    assert (
        'record anew, with a key and for credits: pytest "test_shop.py::test_prices[replay]" --spidra-record=all'
        in told
    )


def test_a_client_that_asks_for_less_is_told_what_is_left(replayed, cassette, monkeypatch):
    monkeypatch.setenv("SHOP", "1  ")
    told = replayed()
    assert told.startswith(f"1 of the 3 exchanges in {cassette} was not asked for: #3 get")
    assert "played #2 get" in told
    assert "played #3 get" not in told
    assert 'record anew, with a key and for credits: pytest "test_shop.py::test_prices[replay]"' in told


def test_a_client_that_swallows_it_fails_all_the_same(suite, record, cassettes):
    source = """
def test_prices(spidra_api):
    with plain(spidra_api) as client:
        batch = submit(client)
        try:
            {code}
        except BaseException:
            pass
"""
    run = suite(source.replace("{code}", "pass"), ini=INI)
    run(*record()).assert_outcomes(passed=1)
    result = suite(source.replace("{code}", "look(client, batch)"), ini=INI)()
    result.assert_outcomes(failed=1)
    assert "Something swallowed this: the code under test went on" in failure(result)


def test_submits_in_another_order_are_told_apart(suite, record):
    source = """
def test_prices(spidra_api):
    with plain(spidra_api) as client:
        for url in {urls}:
            submit(client, [url])
"""
    suite(source.replace("{urls}", "URLS"), ini=INI)(*record()).assert_outcomes(passed=1)
    told = failure(suite(source.replace("{urls}", "reversed(URLS)"), ini=INI)())
    assert "asked POST /batch/scrape (1 URL)" in told
    assert "It was recorded as #2: the order has changed." in told


def test_a_missing_cassette_is_named_with_the_command_that_records_it(suite, cassettes):
    result = suite(ONE, ini=INI)()
    result.assert_outcomes(failed=1)
    assert failure(result) == (
        f"This test cannot be replayed: there is no cassette {cassettes['test_prices.yaml']} "
        "It has not been recorded yet, or under another name. To record it, with a key and for credits: "
        'pytest "test_shop.py::test_prices[replay]" --spidra-record=once '
        "To have it mocked only, mark the test @pytest.mark.spidra(modes=('mock',))."
    )
    assert cassettes.names == []


def interactions(path):
    return yaml.safe_load(path.read_text())["interactions"]


def edited(change):
    """Return what writes a cassette whose data were changed."""

    def write(path):
        data = yaml.safe_load(path.read_text())
        data = change(data) or data
        path.write_text(yaml.safe_dump(data))

    return write


def replaced(old, new):
    def write(path):
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    return write


def written(content):
    return lambda path: path.write_bytes(content)


def part(place, *names, value):
    """Return a change of one part of one interaction."""

    def change(data):
        there = data["interactions"][place]
        for name in names[:-1]:
            there = there[name]
        if value is None:
            del there[names[-1]]
        else:
            there[names[-1]] = value
        return data

    return edited(change)


CUT_OFF = "is cut off: its last line is to be `version: 1`, and it is missing."
EDITED = "It may have been cut off, or edited."
WRONG = "is no whole cassette: interaction 2 of 3"

BROKEN = {
    "empty": (written(b""), "is empty. A cassette ends with `version: 1`."),
    "blank": (written(b" \n\n"), "is empty. A cassette ends with `version: 1`."),
    "no YAML": (
        written(b"interactions: [}\n"),
        f", line 1: this is no YAML that a cassette may hold: *{EDITED}",
    ),
    "an object of Python": (
        written(b"interactions: !!python/object/apply:os.getcwd []\nversion: 1\n"),
        ", line 1: this is no YAML that a cassette may hold: *",
    ),
    "a conflict of git": (
        replaced(b"version: 1", b"<<<<<<< ours\nversion: 1\n======="),
        f", line *: this is no YAML that a cassette may hold: *{EDITED}",
    ),
    "two documents": (
        replaced(b"version: 1", b"version: 1\n---\nversion: 1"),
        ", line *: this is no YAML that a cassette may hold: *",
    ),
    "a zero byte": (replaced(b"interactions", b"\0interactions"), f"cannot be read: *{EDITED}"),
    "no UTF-8": (
        replaced(b"queued", b"qu\xe9ued"),
        "is no UTF-8 text: byte *, in line *, is none.",
    ),
    "newer": (
        replaced(b"version: 1", b"version: 2"),
        "has version 2, and vcrpy *, which is installed, reads version 1. If a newer vcrpy made it, install that one.",
    ),
    "no version": (replaced(b"version: 1", b"version:"), CUT_OFF),
    "another API": (
        lambda path: path.write_text(path.read_text().replace("/batch/scrape", "/pets")),
        "is a cassette of another API: none of its 3 requests is one of the batch API at *. It holds POST */pets *",
    ),
    "a list": (
        edited(lambda data: data["interactions"]),
        "is no cassette: that is a mapping with `interactions` and `version`, and this is a list.",
    ),
    "text": (
        written(b"hello\n"),
        "is no cassette: that is a mapping with `interactions` and `version`, and this is text.",
    ),
    "another mapping": (written(b"a: b\n"), "is no cassette: it has neither `interactions` nor `version`."),
    "no interactions": (written(b"version: 1\n"), "is no whole cassette: it has no list of `interactions`."),
    "interactions that are a mapping": (
        edited(lambda data: {**data, "interactions": {"a": 1}}),
        "is no whole cassette: it has no list of `interactions`.",
    ),
    "text among them": (
        edited(lambda data: data["interactions"].__setitem__(1, "x")),
        f"{WRONG} is text. {EDITED}",
    ),
    "no response": (part(1, "response", value=None), f"{WRONG} has no `response`. {EDITED}"),
    "no URI": (part(1, "request", "uri", value=None), f"{WRONG} has no `request.uri`. {EDITED}"),
    "a URI that is a number": (
        part(1, "request", "uri", value=3),
        f"{WRONG} has a `request.uri` that is 3. {EDITED}",
    ),
    "a response that is a list": (
        part(1, "response", value=[]),
        f"{WRONG} has a `response` that is a list. {EDITED}",
    ),
    "headers that are text": (
        part(1, "response", "headers", value="x"),
        f"{WRONG} has a `response.headers` that is text. {EDITED}",
    ),
    "a status that is a number": (
        part(1, "response", "status", value=200),
        f"{WRONG} has a `response.status` that is 200. {EDITED}",
    ),
    "a code that is text": (
        part(1, "response", "status", "code", value="OK"),
        f"{WRONG} has a `response.status.code` that is text. {EDITED}",
    ),
    "a body without its string": (
        part(1, "response", "body", value={}),
        f"{WRONG} has no `response.body.string`. {EDITED}",
    ),
    "a compression that nobody knows": (
        part(1, "response", "headers", "content-encoding", value=["rot13"]),
        ", interaction 2: its body is compressed as rot13, which cannot be undone here.",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_cassette_is_told_and_left_alone(how, cassette, replayed, record):
    write, told = BROKEN[how]
    write(cassette)
    for args in ((), record("once")):
        where = f"{cassette}{'' if told.startswith(',') else ' '}"
        assert like(replayed(*args), f"This test cannot be replayed: {where}{told}*{FIX_FILE}")


def like(text, pattern):
    """Tell whether text is like a pattern in which * stands for anything, or for nothing."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


def test_what_is_broken_can_be_recorded_anew(recorded, cassette, record):
    cassette.write_text("interactions: [}")
    recorded(*record()).assert_outcomes(passed=1)
    recorded().assert_outcomes(passed=1)


def test_times_that_are_none_are_no_times(cassette, recorded):
    """An edited cassette has the replies still; what it says of times is left out of account."""
    for place, value in enumerate([float("nan"), float("inf"), "soon"]):
        part(place, "response", "recorded", "took", value=value)(cassette)
    part(0, "response", "recorded", "date", value="yesterday")(cassette)
    recorded().assert_outcomes(passed=1)


# What cut-off cassettes are made of: the same exchanges, as two recorders and two serialisers write them.
CUTS = """
import pathlib
HERE = pathlib.Path(__file__).parent
COUNT = len(list((HERE / "cassettes/cuts").glob("*"))) if (HERE / "cassettes/cuts").is_dir() else 0

@pytest.mark.parametrize("lines", range(COUNT))
def test_cut(request, lines):
    request.applymarker(pytest.mark.spidra(cassette=f"cuts/{lines}.SUFFIX", modes="replay"))
    spidra_api = request.getfixturevalue("spidra_api")
    with plain(spidra_api) as client:
        finish(client, submit(client))
"""


@pytest.fixture(params=["ours", "vcrpy"])
def whole(request, suite, record, api, cassettes, tmp_path):
    """Return the text of a whole cassette, as one of the serialisers writes it."""

    def whole(serializer):
        path = cassettes[f"test_prices.{serializer}"]
        if request.param == "ours":
            suite(ONE, ini=INI, conftest=JSON if serializer == "json" else "")(*record()).assert_outcomes(
                passed=1
            )
        else:
            path.parent.mkdir(parents=True)
            with (
                vcr.use_cassette(str(path), serializer=serializer),
                httpx.Client(base_url=api.url, headers={"x-api-key": KEY}) as client,
            ):
                body = {"urls": ["https://shop.example/1", "https://shop.example/2"]}
                batch = client.post("/batch/scrape", json=body).json()["batchId"]
                for _ in range(2):
                    client.get(f"/batch/scrape/{batch}")
        return path.read_bytes()

    return whole


@pytest.mark.slow
@pytest.mark.parametrize("serializer", ["yaml", "json"])
def test_a_cassette_that_was_cut_off_after_any_of_its_lines_is_none(serializer, whole, suite, cassettes):
    """Only the whole one is replayed; each other is told to be cut off, and none is touched."""
    lines = whole(serializer).splitlines(keepends=True)
    folder = cassettes.folder / "cuts"
    folder.mkdir()
    for count in range(len(lines) + 1):
        (folder / f"{count}.{serializer}").write_bytes(b"".join(lines[:count]))
    before = cassettes.content

    result = suite(CUTS.replace("SUFFIX", serializer), conftest=JSON if serializer == "json" else "")()

    result.assert_outcomes(passed=1, failed=len(lines))
    assert cassettes.content == before
    reports = [one for one in result.reprec.getreports("pytest_runtest_logreport") if one.when == "call"]
    assert reports[-1].passed
    for count, report in enumerate(reports[:-1]):
        told = " ".join(report.longreprtext.split())
        assert told.startswith(f"This test cannot be replayed: {folder / str(count)}.{serializer}")
        assert "cut off" in told or "is empty" in told
