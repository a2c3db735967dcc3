"""Replay with secrets taken out: requests that differ stay different, and what a client sent comes back to it."""

from __future__ import annotations

import json

import pytest

from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.player import Player
from pytest_spidra.cassettes.recording import Times
from pytest_spidra.cassettes.secret_values import unified
from pytest_spidra.traffic.pending import UnanswerableError
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

BASE_URL = "https://api.spidra.io/api"
KEY = "spd" + "_" + "Zq8Lw3Tn5Rb7Vc9Xk2Mp"
REPLAY_KEY = "spd_replay"
TOKENS = ["9fK2mQ7xR4tV1bZ8", "aB3dE5fG7hJ9kL1m", "zY8xW6vU4tS2rQ0p"]


def submit(key=KEY, headers=None, query="", **body):
    body = {"urls": ["https://a.example/"], **body}
    return Request(
        "POST", "/batch/scrape", query, {"x-api-key": key, **(headers or {})}, json.dumps(body).encode()
    )


def look(batch, key=KEY):
    return Request("GET", f"/batch/scrape/{batch}", headers={"x-api-key": key})


def queued(batch):
    return Reply.of(202, {"status": "queued", "batchId": batch, "total": 1})


@pytest.fixture
def player(tmp_path):
    """Record exchanges, all under way together or one after the other, and return what replays them."""

    def player(*exchanges, together=True, config=None, keys=(KEY,)):
        path = tmp_path / "a.yaml"
        reading = Format(config or {})
        known = len(exchanges)
        rows = [
            (request, reply, Times(0.0, 0.1, known if together else number, "2026-11-23T12:00:00Z"))
            for number, (request, reply) in enumerate(exchanges, 1)
        ]
        reading.write(path, rows, BASE_URL, keys)
        for secret in (*keys, *TOKENS):
            assert secret not in path.read_text()
        return Player(reading.read(path), reading, base_url=BASE_URL, again="…", paced=False)

    return player


def with_token(token, **more):
    return submit(**{"key": KEY, **more}, urls=[f"https://a.example/?token={token}"])


def batches(player, *requests):
    return [player.answer(request).json["batchId"] for request in requests]


def test_submits_that_differ_in_a_secret_are_answered_each_with_its_own(player):
    """In the order of the recording: nobody knows any more which value was which."""
    play = player(*((with_token(token), queued(f"b{number}")) for number, token in enumerate(TOKENS)))
    others = ["n3wT0kenA1b2C3d4", "n3wT0kenE5f6G7h8", "n3wT0kenI9j0K1l2"]
    assert batches(play, *map(with_token, others)) == ["b0", "b1", "b2"]


def test_the_same_secret_stays_the_same_request(player):
    play = player(
        *(
            (with_token(token), queued(batch))
            for token, batch in [(TOKENS[0], "b0"), (TOKENS[1], "b1"), (TOKENS[0], "b2")]
        )
    )
    assert batches(play, *map(with_token, [TOKENS[2], TOKENS[2], TOKENS[1]])) == ["b0", "b2", "b1"]


def test_one_secret_in_the_place_of_two_is_not_what_was_recorded(player):
    play = player((with_token(TOKENS[0]), queued("b0")), (with_token(TOKENS[1]), queued("b1")))
    play.answer(with_token(TOKENS[2]))
    with pytest.raises(UnanswerableError, match="does not hold here") as caught:
        play.answer(with_token(TOKENS[2]))
    assert TOKENS[2] not in str(caught.value)


@pytest.mark.parametrize("cookies", ["sid=1; theme=dark-2", {"sid": "1"}])
def test_a_refusal_shows_no_secret_and_tells_what_differs(player, cookies):
    play = player((submit(cookies=cookies, prompt="prices"), queued("b0")))
    with pytest.raises(UnanswerableError) as caught:
        play.answer(submit(cookies="sid=hunter2", prompt="names"))
    told = str(caught.value)
    assert "hunter2" not in told
    assert '"names"' in told
    assert "cookies" not in told  # they may be any


def test_what_the_client_sent_comes_back_as_it_sent_it(player):
    url = f"https://a.example/?token={TOKENS[0]}&page=2"
    item = {"items": [{"url": url, "result": f"key {KEY}, {json.dumps({'token': TOKENS[0]})}"}]}
    echo = {"x-echo": f"{KEY} {url}"}
    play = player((submit(urls=[url]), queued("b0")), (look("b0"), Reply.of(200, item, echo)), together=False)
    mine = 'n3wT0ken"\\A1b2'
    url = f"https://a.example/?token={mine}&page=2"
    play.answer(submit(REPLAY_KEY, urls=[url]))
    reply = play.answer(look("b0", REPLAY_KEY))
    assert reply.json == {"items": [{"url": url, "result": f'key spd_replay, {{"token": "{mine}"}}'}]}
    assert reply.headers["x-echo"] == f"spd_replay {url}"


def test_a_secret_of_somebody_else_stays_a_placeholder(player):
    page = Reply.of(200, {"result": f"see https://b.example/?access_token={TOKENS[0]}"})
    play = player((look("b0"), page), together=False)
    assert play.answer(look("b0", REPLAY_KEY)).json == {
        "result": "see https://b.example/?access_token=[secret 2]"
    }


def test_a_key_in_a_bearers_header_may_be_one_in_another_header(player):
    recorded = Request("GET", "/batch/scrape/b0", headers={"authorization": f"Bearer {KEY}"})
    play = player((recorded, Reply.of(200, {"echo": KEY})), together=False)
    assert play.answer(look("b0", REPLAY_KEY)).json == {"echo": REPLAY_KEY}


def test_a_key_in_the_url_is_any_key(player):
    play = player((submit(query=f"api_key={KEY}"), queued("b0")), together=False)
    assert batches(play, submit(REPLAY_KEY, query=f"api_key={REPLAY_KEY}")) == ["b0"]


def test_a_key_too_short_to_be_one_is_no_trouble(player):
    play = player((submit("bad"), Reply.of(401, {"message": "bad"})), together=False)
    assert play.answer(submit("bad")).json == {"message": "bad"}


@pytest.mark.parametrize("matcher", ["body", "raw_body", "uri", "query", "headers"])
def test_matchers_of_vcrpy_compare_what_was_recorded_with_what_is_asked(player, matcher):
    """Placeholders stand for what the client sends, and JSON is compared in one form."""
    config = {"match_on": [matcher], "filter_headers": ["x-api-key"]}
    asked = with_token(TOKENS[0], query=f"token={TOKENS[1]}", headers={"x-one": "1"})
    play = player((asked, queued("b0")), config=config)
    other = with_token(TOKENS[2], query=f"token={TOKENS[0]}", headers={"x-one": "1"})
    assert batches(play, other) == ["b0"]


def test_matchers_of_vcrpy_still_say_no(player):
    play = player((with_token(TOKENS[0]), queued("b0")), config={"match_on": ["body"]})
    with pytest.raises(UnanswerableError):
        play.answer(submit(urls=["https://b.example/"]))


def test_recordings_of_older_versions_are_played(tmp_path):
    """They had one placeholder for all secrets, and another in URLs."""
    path = tmp_path / "old.yaml"
    Format({}).write(
        path, [(submit(), queued("b0"), Times(0.0, 0.1, 1, "2026-11-23T12:00:00Z"))], BASE_URL, [KEY]
    )
    body = '{"urls": ["https://a.example/?token=redacted"], "cookies": "[redacted]"}'
    text = path.read_text()
    start, end = text.index("    body: "), text.index("    headers:")
    path.write_text(f"{text[:start]}    body: '{body}'\n{text[end:]}".replace("[secret 1]", "[redacted]"))
    reading = Format({})
    play = Player(reading.read(path), reading, base_url=BASE_URL, again="…", paced=False)
    assert batches(play, submit(urls=["https://a.example/?token=blue-widget"], cookies={"a": "b"})) == ["b0"]


@pytest.mark.parametrize(
    ("recorded", "asked", "values"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": True}, None),
        ({"a": 1}, {"a": 1.0}, None),
        ({"a": 1}, {"b": 1}, None),
        ([1], [1, 2], None),
        ([1], {"a": 1}, None),
        ({"a": 1}, [1], None),
        ("[secret 2]", "abc", {2: "abc"}),
        ("a [secret 2] c", "a b c", {2: "b"}),
        ("a [secret 2] c", "a b d", None),
        ("a [secret 2] c", 7, None),
        ("%5Bsecret%202%5D/[secret 2]", "b/b", {2: "b"}),
        ("[secret 2]/[secret 2]", "b/c", None),
        ("[secret 2]/[secret 3]", "b/b", None),
        ("[secret 2]/[secret 2]", "b+/b%2B", {2: "b+"}),
        ("[redacted]", {"any": "thing"}, {}),
    ],
)
def test_values_are_what_makes_two_requests_the_same(recorded, asked, values):
    assert unified(recorded, asked, {}) == values
