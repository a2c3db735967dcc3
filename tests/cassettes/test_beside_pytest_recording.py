"""Cassettes are vcrpy's: pytest-recording and vcrpy play ours, we play theirs, and all live in one run."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
import yaml
from real_server import inner_fixture, notes_fixture, served, simple_server  # noqa: F401 - fixtures, by other names

pytestmark = pytest.mark.slow

pytest.importorskip("pytest_recording")

VCRPY = tuple(map(int, version("vcrpy").split(".")[:2]))

# A user's client, sync and async, plain and by the SDK, and what it finds.
CLIENTS = """
import asyncio, os, time
import httpx, pytest, spidra, vcr
from types import SimpleNamespace
from real_server import KEY, note

URL = "https://shop.example/1"

def settings(api):
    return {"base_url": api.base_url, "headers": {"x-api-key": api.api_key}}

def plain(api):
    with httpx.Client(**settings(api)) as client:
        batch = client.post("/batch/scrape", json={"urls": [URL]}).json()["batchId"]
        while (found := client.get(f"/batch/scrape/{batch}").json())["status"] != "completed":
            time.sleep(0.05)
    return [[item["uuid"], item["result"]] for item in found["items"]]

def plain_async(api):
    async def main():
        async with httpx.AsyncClient(**settings(api)) as client:
            batch = (await client.post("/batch/scrape", json={"urls": [URL]})).json()["batchId"]
            while (found := (await client.get(f"/batch/scrape/{batch}")).json())["status"] != "completed":
                await asyncio.sleep(0.05)
        return [[item["uuid"], item["result"]] for item in found["items"]]
    return asyncio.run(main())

def sdk(api):
    client = spidra.Spidra(api_key=api.api_key, api_url=api.base_url)
    return [[item.uuid, item.result] for item in client.batch_scrape([URL], poll_interval=0.05).items]

def sdk_async(api):
    async def main():
        async with spidra.AsyncSpidra(api_key=api.api_key, api_url=api.base_url) as client:
            return [[item.uuid, item.result] for item in (await client.batch_scrape([URL], poll_interval=0.05)).items]
    return asyncio.run(main())

WORK = {work.__name__: work for work in (plain, plain_async, sdk, sdk_async)}

@pytest.fixture
def live(pytestconfig):
    return SimpleNamespace(base_url=pytestconfig.getini("spidra_base_url"), api_key=KEY)

"""

OURS = """
@pytest.mark.parametrize("work", WORK)
@pytest.mark.spidra(modes="replay")
def test_it(spidra_api, work):
    note(spidra_api.mode, work, WORK[work](spidra_api))
"""

BY_PYTEST_RECORDING = """
@pytest.mark.parametrize("work", WORK)
@pytest.mark.vcr
def test_it(live, work, record_mode):
    note(f"vcr {record_mode}", work, WORK[work](live))
"""

BY_VCRPY = """
@pytest.mark.parametrize("work", WORK)
def test_it(live, work):
    here = os.path.basename(__file__).removesuffix(".py")
    with vcr.use_cassette(f"cassettes/{here}/test_it[{work}].yaml", record_mode="none") as cassette:
        note("vcr none", work, WORK[work](live))
        assert cassette.all_played
"""

WORK = ["plain", "plain_async", "sdk", "sdk_async"]


@pytest.fixture
def run(inner):
    """Run a module with the clients above; all its tests are to pass."""

    def run(source, base_url, *args, passed=None):
        inner(CLIENTS + source, base_url, *args).assert_outcomes(passed=passed or len(WORK))

    return run


# Ours, played by others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("player", [BY_PYTEST_RECORDING, BY_VCRPY], ids=["pytest-recording", "vcrpy"])
def test_they_play_what_we_recorded(run, notes, pytester, player):
    """At the URL of the recording, with any client, when the server has gone; the first look is the first."""
    with served(pytester.path) as base_url:
        run(OURS, base_url, "--spidra-record=all")
    run(player, base_url)
    assert notes["vcr none"] == notes["record"]
    assert notes["record"].keys() == set(WORK)


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_they_play_what_we_recorded_of_a_server_that_compresses(run, notes, encoding):
    """In the cassette it is plain text, and nothing there says otherwise."""
    if encoding == "br":
        pytest.importorskip("brotli")
    with simple_server(encoding) as base_url:
        run(OURS, base_url, "--spidra-record=all")
    run(BY_PYTEST_RECORDING, base_url)
    run(OURS, base_url)
    assert notes["vcr none"] == notes["record"] == notes["replay"]
    assert notes["record"]["plain"] == [["i1", "# ä " * 200]]


def test_they_play_our_json(run, notes, pytester):
    ours = """
@pytest.fixture(scope="session")
def spidra_vcr_config():
    return {"serializer": "json"}
"""
    theirs = """
@pytest.fixture(scope="session")
def vcr_config():
    return {"serializer": "json"}

@pytest.mark.vcr
@pytest.mark.default_cassette("test_it[plain].json")
def test_it(live, record_mode):
    note(f"vcr {record_mode}", "plain", plain(live))
"""
    with served(pytester.path) as base_url:
        run(ours + OURS, base_url, "--spidra-record=all")
    run(theirs, base_url, passed=1)
    assert notes["vcr none"]["plain"] == notes["record"]["plain"]


# Theirs, played by us -----------------------------------------------------------------------------------------

CONFIGS = {
    "their defaults": "{}",
    "the key filtered": '{"filter_headers": ["x-api-key", "authorization"]}',
    "the key replaced": '{"filter_headers": [("x-api-key", "hidden"), ("authorization", "Bearer hidden")]}',
    "bodies decompressed": '{"decode_compressed_response": True}',
}


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_we_play_what_they_recorded(run, notes, encoding, config):
    if encoding == "br":
        pytest.importorskip("brotli")
    theirs = f"""
@pytest.fixture(scope="session")
def vcr_config():
    return {config}
"""
    with simple_server(encoding) as base_url:
        run(theirs + BY_PYTEST_RECORDING, base_url, "--record-mode=once")
    run(OURS, base_url)
    assert notes["replay"] == notes["vcr once"]
    assert notes["replay"]["plain"] == [["i1", "# ä " * 200]]


def test_we_play_what_they_recorded_at_the_real_address_elsewhere_and_as_json(run, notes, pytester):
    """A cassette names its own server; where the test's API lives now is another matter."""
    theirs = """
@pytest.fixture(scope="session")
def vcr_config():
    return {"serializer": "json", "filter_headers": ["x-api-key"]}

@pytest.mark.vcr
@pytest.mark.default_cassette("tape.json")
def test_it(live, record_mode):
    note(f"vcr {record_mode}", "plain", plain(live))
"""
    ours = """
@pytest.fixture(scope="session")
def spidra_vcr_config():
    return {"serializer": "json"}

@pytest.mark.spidra(modes="replay", cassette=os.path.basename(__file__).removesuffix(".py") + "/tape")
def test_it(spidra_api):
    note(spidra_api.mode, "plain", plain(spidra_api))
"""
    with served(pytester.path) as base_url:
        run(theirs, base_url, "--record-mode=once", passed=1)
    run(ours, "https://api.spidra.io/api", passed=1)
    assert notes["replay"] == notes["vcr once"]


def test_what_they_have_left_of_ours_is_played_by_us(run, notes, pytester):
    """pytest-recording in the mode new_episodes adds to our cassette, and saves it in its own way."""
    more = """
@pytest.mark.parametrize("work", WORK)
@pytest.mark.vcr
def test_it(live, work):
    WORK[work](live)
    httpx.get(f"{live.base_url}/batch/scrape", headers={"x-api-key": KEY})
"""
    with served(pytester.path) as base_url:
        run(OURS, base_url, "--spidra-record=all")
        run(more, base_url, "--record-mode=new_episodes")
    with_list = """
@pytest.mark.parametrize("work", WORK)
@pytest.mark.spidra(modes="replay")
def test_it(spidra_api, work):
    note(spidra_api.mode, work, WORK[work](spidra_api))
    assert httpx.get(f"{spidra_api.base_url}/batch/scrape", headers={"x-api-key": KEY}).json()["jobs"]
"""
    run(with_list, base_url)
    assert notes["replay"] == notes["record"]


# Both in one run ----------------------------------------------------------------------------------------------

TOGETHER = """
@pytest.mark.vcr
def test_theirs_before(live, vcr):
    plain(live)
    assert len(vcr) == 3

@pytest.mark.spidra(modes=("mock", "replay"))
def test_ours(spidra_api):
    plain(spidra_api)
    assert len(spidra_api.exchanges) == 3

@pytest.mark.vcr
def test_a_mock_under_their_mark(spidra_mock, vcr):
    spidra_mock.batch.outcomes({URL: spidra_mock_outcome})
    assert plain(spidra_mock)[0][1] == "mocked"
    assert len(spidra_mock.exchanges) == 3
    assert len(vcr) == 0

@pytest.mark.vcr
@pytest.mark.default_cassette("other.yaml")  # this test's name says whether it is recorded or replayed
@pytest.mark.spidra(modes="replay")
def test_ours_under_their_mark(spidra_api, vcr, other):
    plain(spidra_api)
    assert httpx.get(other).text == "real"
    assert len(vcr) == 1

@pytest.mark.vcr
def test_theirs_after(live, vcr):
    sdk(live)
    assert len(vcr) == 3

from pytest_spidra import completed
spidra_mock_outcome = completed("mocked")

@pytest.fixture
def other():
    return os.environ["OTHER"]
"""


def test_both_record_and_replay_in_one_run(run, pytester, loopback, monkeypatch):
    """Each records what is its own, also in one test: the batch API is ours, other hosts are theirs."""
    monkeypatch.setenv("OTHER", f"{loopback.url}/other")
    with served(pytester.path) as base_url:
        run(TOGETHER, base_url, "--spidra-record=all", "--record-mode=once", passed=6)
    run(TOGETHER, base_url, passed=6)
    assert loopback.seen == ["GET /other"]  # while it was recorded
    mocked = list(pytester.path.glob("cassettes/**/test_a_mock_under_their_mark*"))
    assert mocked == []
    (theirs,) = pytester.path.glob("cassettes/*/other.yaml")
    assert [one["request"]["uri"] for one in yaml.safe_load(theirs.read_text())["interactions"]] == [
        f"{loopback.url}/other"
    ]


UNDER_THEIR_MARK = """
@pytest.mark.vcr
@pytest.mark.default_cassette("theirs.yaml")
@pytest.mark.spidra(modes="replay")
def test_it(spidra_api, spidra_batch_factory, vcr):
    note(spidra_api.mode, "batch", spidra_batch_factory(urls=1).id)
    plain(spidra_api)
    assert len(vcr) == vcr.play_count == 0
"""


@pytest.mark.parametrize("mode", ["none", "once", "all"])
def test_what_we_record_is_neither_recorded_nor_answered_by_them(run, notes, pytester, mode):
    """In their cassette the key would stand in plain text; from it an old answer would come."""
    with served(pytester.path) as base_url:
        run(UNDER_THEIR_MARK, base_url, "--spidra-record=all", f"--record-mode={mode}", passed=1)
    run(UNDER_THEIR_MARK, base_url, passed=1)
    assert notes["replay"] == notes["record"]
    (ours,) = pytester.path.glob("cassettes/**/*.yaml")
    assert ours.name == "test_it.yaml"


def test_a_network_that_pytest_recording_blocks_is_named_when_we_record(inner, pytester):
    with served(pytester.path) as base_url:
        result = inner(CLIENTS + OURS, base_url, "--spidra-record=all", "--block-network")
    result.assert_outcomes(failed=len(WORK))
    text = " ".join(result.stdout.str().split())
    assert text.count("--block-network") >= len(WORK)
    assert not (pytester.path / "cassettes").exists()


# spidra_vcr_config --------------------------------------------------------------------------------------------

CONFIGURED = """
import pytest, time, httpx
from real_server import KEY

class Base:
    @pytest.mark.spidra(modes="replay")
    def test_it(self, spidra_api):
        headers = {"x-api-key": spidra_api.api_key, "x-internal": "4711"}
        with httpx.Client(base_url=spidra_api.base_url, headers=headers) as client:
            urls = {"urls": ["https://shop.example/1"], "prompt": "of 4711"}
            batch = client.post("/batch/scrape", json=urls).json()["batchId"]
            while client.get(f"/batch/scrape/{batch}").json()["status"] != "completed":
                time.sleep(0.02)

def configured(**config):
    class Test(Base):
        @pytest.fixture
        def spidra_vcr_config(self):
            return config
    return Test

def without_prompt(request):
    request.body = (request.body or b"").replace(b"4711", b"xxxx") or None
    return request

def shorter(response):
    response["headers"].pop("date", None)
    response["headers"]["x-before"] = ["it"]
    return response

def marked(request, response):
    response["headers"]["x-saved"] = ["it"]
    return request, response

TestHeaders = configured(filter_headers=["x-internal"])
TestReplaced = configured(filter_headers=[("x-internal", "hidden")])
TestRequest = configured(before_record_request=without_prompt)
TestResponse = configured(before_record_response=shorter)
TestMatching = configured(match_on=["method", "path", "body"])
TestJson = configured(serializer="json")
"""

SINCE_9_2 = """
TestSaved = configured(before_save_interaction=marked)
TestSensitive = configured(filter_sensitive_data={"<<ID>>": "4711"})
"""


def stored(pytester, name):
    """Return the interactions of a class's cassette, and its text."""
    (file,) = pytester.path.glob(f"cassettes/*/{name}.test_it.*")
    text = file.read_text()
    read = json.loads if file.suffix == ".json" else yaml.safe_load
    return read(text)["interactions"], text


def test_settings_of_vcrpy_hold_for_recordings_and_their_replays(inner, pytester):
    """Whatever they take out or change is not in the file, and the replay finds its answers all the same."""
    source = CONFIGURED + (SINCE_9_2 if VCRPY >= (9, 2) else "")
    count = source.count("= configured(")
    with served(pytester.path) as base_url:
        inner(source, base_url, "--spidra-record=all").assert_outcomes(passed=count)
    inner(source, base_url).assert_outcomes(passed=count)

    interactions, text = stored(pytester, "TestMatching")
    assert interactions[0]["request"]["headers"]["x-internal"] == ["4711"]
    assert text.count("4711") == 4  # in three requests' headers and one body
    interactions, _ = stored(pytester, "TestHeaders")
    assert "x-internal" not in interactions[0]["request"]["headers"]
    interactions, _ = stored(pytester, "TestReplaced")
    assert interactions[0]["request"]["headers"]["x-internal"] == ["hidden"]
    interactions, _ = stored(pytester, "TestRequest")
    assert "of xxxx" in interactions[0]["request"]["body"]
    interactions, _ = stored(pytester, "TestResponse")
    assert [one["response"]["headers"]["x-before"] for one in interactions] == [["it"]] * 3
    assert "date" not in interactions[0]["response"]["headers"]
    interactions, _ = stored(pytester, "TestJson")
    assert len(interactions) == 3
    if VCRPY >= (9, 2):
        interactions, _ = stored(pytester, "TestSaved")
        assert interactions[0]["response"]["headers"]["x-saved"] == ["it"]
        _, text = stored(pytester, "TestSensitive")
        assert "4711" not in text
        assert "<<ID>>" in text


WRONG = {
    "filter_haeders=[]": "filter_haeders",
    "match_on=['bodies']": "bodies",
    "serializer='toml'": "toml",
    "record_mode='once'": "the command line decides: --spidra-record",
    "allow_playback_repeats=True": "it would show a batch's first state for ever",
    "cassette_library_dir='.'": "the ini option spidra_cassette_dir is the place for it",
}


@pytest.mark.parametrize("mode", ["record", "replay"])
def test_a_setting_that_is_wrong_is_named_before_anything_is_sent(inner, pytester, mode):
    source = CONFIGURED.partition("TestHeaders")[0] + "".join(
        f"Test{number} = configured({setting})\n" for number, setting in enumerate(WRONG)
    )
    with served(pytester.path) as base_url:
        args = ["--spidra-record=all"] if mode == "record" else []
        result = inner(source, base_url, *args)
    result.assert_outcomes(failed=len(WRONG))
    text = result.stdout.str()
    for word in WRONG.values():
        assert word in " ".join(text.split()), text
    assert "Traceback" not in text
    assert not (pytester.path / "cassettes").exists()
