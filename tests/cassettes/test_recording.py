"""The way through: a test is mocked, recorded from a real server, and replayed without it."""

from __future__ import annotations

import json
import re
from hashlib import sha256

import httpx
import pytest
import vcr
import yaml
from users_suite import KEY, SHOP, failure
from vcr.serialize import deserialize

ONE = """
def test_prices(spidra_api):
    with plain(spidra_api) as client:
        assert finish(client, submit(client))["completedCount"] == 2
"""

EVERY_CLIENT = """
def test_plain(spidra_api):
    spidra_api.batch.submit.script(503)
    with plain(spidra_api) as client:
        assert client.post("/batch/scrape", json={"urls": URLS}).status_code == 503
        assert finish(client, submit(client))["completedCount"] == 2
    spidra_api.assert_attempts("batch.submit", 2)

async def test_plain_async(spidra_api):
    spidra_api.batch.submit.script(reply_lost(after=0.1))
    async with plain_async(spidra_api) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/batch/scrape", json={"urls": URLS})
        (job,) = (await client.get("/batch/scrape?limit=1")).json()["jobs"]
    assert job["totalUrls"] == 2
    spidra_api.assert_submitted_once()

def test_sdk(spidra_api):
    spidra_api.batch.submit.script(503)
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    assert [item.status for item in client.batch_scrape(URLS, poll_interval=PAUSE).items] == ["completed"] * 2
    (call,) = spidra_api.exchanges.calls("batch.submit")
    assert (call.outcomes, call.waits) == ([503, 202], [1.0])

async def test_sdk_async(spidra_api):
    spidra_api.batch.get.script(reply_lost(after=0.1))
    async with spidra.AsyncSpidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url) as client:
        batch = await client.batch_scrape(URLS, poll_interval=PAUSE)
    assert [item.status for item in batch.items] == ["completed"] * 2
    assert spidra_api.exchanges[1].seen == "ReadTimeout"
"""


def ids(result):
    """Return the ids of the tests that were run, with their outcomes."""
    reports = result.reprec.getreports("pytest_runtest_logreport")
    return {report.nodeid.partition("::")[2]: report.outcome for report in reports if report.when == "call"}


def statuses(path):
    return [one["response"]["status"]["code"] for one in yaml.safe_load(path.read_text())["interactions"]]


@pytest.mark.slow
def test_the_same_tests_pass_mocked_recorded_and_replayed_after_the_server_has_gone(
    suite, start_api, record, cassettes
):
    """Sync and async, plain httpx and the SDK; scripted failures happen in all three, and stand in no cassette."""
    api = start_api()
    run = suite(EVERY_CLIENT)
    names = ["test_plain", "test_plain_async", "test_sdk", "test_sdk_async"]

    recorded = run(*record(url=api.url))
    sent = api.requests()
    api.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(api.url)
    replayed = run("-o", f"spidra_base_url={api.url}")
    elsewhere = run()

    for result in (recorded, replayed, elsewhere):
        result.assert_outcomes(passed=8)
        assert ids(result) == {f"{name}[{mode}]": "passed" for name in names for mode in ("mock", "replay")}
    assert cassettes.names == [f"test_shop/{name}.yaml" for name in names]
    assert statuses(cassettes["test_plain.yaml"]) == [202, 200, 200]
    assert statuses(cassettes["test_plain_async.yaml"]) == [202, 200]
    assert statuses(cassettes["test_sdk.yaml"]) == [202, 200, 200]
    assert statuses(cassettes["test_sdk_async.yaml"]) == [202, 200, 200]
    assert sorted({text.split()[0] for text in sent}) == ["get", "list", "submit"]
    assert len(sent) == 11
    assert not any(KEY.encode() in content for content in cassettes.content.values())


def marked(name):
    """Return what a name has at its end that no file system could take."""
    return sha256(name.encode()).hexdigest()[:8]


def test_each_parameter_and_each_class_has_a_cassette_of_its_own(suite, record, cassettes):
    run = suite("""
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["a/b", "c"], ids=str)
def test_parametrised(spidra_api, count, name):
    with plain(spidra_api) as client:
        submit(client, [f"https://{name[0]}.example/{number}" for number in range(count)])

class TestBooks:
    def test_prices(self, spidra_api):
        with plain(spidra_api) as client:
            submit(client, ["https://books.example/"])

    class TestUsed:
        def test_prices(self, spidra_api):
            with plain(spidra_api) as client:
                submit(client, ["https://used.example/"])

@pytest.mark.spidra(cassette="by/name")
def test_named(spidra_api):
    with plain(spidra_api) as client:
        submit(client, ["https://named.example/"])

@pytest.mark.spidra(cassette="as.json")
def test_named_with_a_suffix(spidra_api):
    with plain(spidra_api) as client:
        submit(client, ["https://named.example/2"])
""")

    run(*record()).assert_outcomes(passed=16)
    result = run("-v")

    result.assert_outcomes(passed=16)
    assert cassettes.names == [
        "as.json",
        "by/name.yaml",
        "test_shop/TestBooks.TestUsed.test_prices.yaml",
        "test_shop/TestBooks.test_prices.yaml",
        *(
            f"test_shop/test_parametrised[a_b-{n}]-{marked(f'test_parametrised[a/b-{n}]')}.yaml"
            for n in (1, 2)
        ),
        "test_shop/test_parametrised[c-1].yaml",
        "test_shop/test_parametrised[c-2].yaml",
    ]
    assert "test_parametrised[c-2-replay]" in ids(result)


def test_what_is_missing_is_recorded_once(suite, record, api, cassettes):
    run = suite(ONE)
    run(*record("once")).assert_outcomes(passed=2)
    before = cassettes.content
    api.requests()
    run = suite(f"{ONE}\n{ONE.replace('test_prices', 'test_new')}")

    result = run(*record("once"))

    assert ids(result) == dict.fromkeys(
        ["test_prices[mock]", "test_prices[replay]", "test_new[mock]", "test_new[replay]"], "passed"
    )
    assert len(api.requests()) == 3
    assert cassettes.content.items() > before.items()
    run(*record("once")).assert_outcomes(passed=4)
    assert api.requests() == []


def test_once_records_the_missing_parameter_only(suite, record, api, cassettes):
    source = """
@pytest.mark.parametrize("name", {names})
@pytest.mark.spidra(modes="replay")
def test_it(spidra_api, name):
    with plain(spidra_api) as client:
        submit(client, [f"https://{name}.example/"])
"""
    suite(source.replace("{names}", "['a']"))(*record("once")).assert_outcomes(passed=1)
    api.requests()

    result = suite(source.replace("{names}", "['a', 'b']"))(*record("once"))

    result.assert_outcomes(passed=2)
    assert api.requests() == ["submit 1 URL    202 queued"]
    assert cassettes.names == ["test_shop/test_it[a].yaml", "test_shop/test_it[b].yaml"]


def test_all_replaces_what_was_recorded(suite, record, api, cassettes):
    run = suite(ONE)
    run(*record()).assert_outcomes(passed=2)
    before = cassettes.content
    api.requests()

    run(*record()).assert_outcomes(passed=2)

    assert len(api.requests()) == 3
    assert cassettes.names == list(before)
    assert cassettes.content != before


def test_modes_and_folder_are_ini_options(suite, record, pytester):
    ini = "spidra_modes = replay\nspidra_cassette_dir = tapes/shop\n"
    run = suite(ONE, ini=ini)

    assert list(ids(run(*record()))) == ["test_prices[replay]"]
    assert list(ids(run())) == ["test_prices[replay]"]
    assert (pytester.path / "tapes/shop/test_shop/test_prices.yaml").is_file()
    assert not (pytester.path / "cassettes").exists()


def test_the_marker_chooses_modes(suite, record, cassettes):
    run = suite("""
@pytest.mark.spidra(modes=("mock",))
def test_mocked_only(spidra_api):
    assert spidra_api.mode == "mock"

@pytest.mark.spidra(modes="replay")
def test_real_only(spidra_api):
    assert spidra_api.mode in ("record", "replay")
""")
    assert list(ids(run(*record()))) == ["test_mocked_only[mock]", "test_real_only[replay]"]
    assert cassettes.names == ["test_shop/test_real_only.yaml"]


def test_the_factory_makes_the_same_batches_in_all_modes(suite, record, api, cassettes):
    """Its requests are recorded with the others; they stand in no log of the test."""
    run = suite("""
def test_factory(spidra_api, spidra_batch_factory):
    broken = spidra_batch_factory(urls=3, failed=1)
    cancelled = spidra_batch_factory(status="cancelled")
    foreign = spidra_batch_factory(owner="someone else")
    assert (broken.status, len(broken.failed_urls)) == ("completed", 1)
    assert cancelled.status == "cancelled"
    assert not spidra_api.exchanges

    with plain(spidra_api) as client:
        assert look(client, broken.id)["failedCount"] == 1
        assert look(client, cancelled.id)["status"] == "cancelled"
        assert client.get(f"/batch/scrape/{foreign.id}").status_code == 404
    assert len(spidra_api.exchanges) == 3
""")

    run(*record()).assert_outcomes(passed=2)
    sent = api.requests()
    run().assert_outcomes(passed=2)
    assert api.requests() == []
    assert len(statuses(cassettes["test_factory.yaml"])) == len(sent)
    assert statuses(cassettes["test_factory.yaml"])[-3:] == [200, 200, 404]


@pytest.mark.slow
def test_time_passes_in_a_replay_as_it_did_while_recording(suite, start_api, record):
    """Replies take what they took, waits are exact, and neither costs time; the clock begins when the recording did."""
    api = start_api("""
from pytest_spidra import ok
def script(spidra_server):
    spidra_server.batch.submit.script(ok(after=0.4))
""")
    run = suite("""
@pytest.mark.spidra(modes="replay")
async def test_it(spidra_api, request):
    begun = time.time()
    async with plain_async(spidra_api) as client:
        await client.post("/batch/scrape", json={"urls": URLS})
        took = spidra_api.clock.elapsed
        await asyncio.sleep(0.5)
        waited = spidra_api.clock.elapsed - took
    assert took > 0  # what the machine does besides is no time of the client
    assert waited == pytest.approx(0.5)
    known = request.config.cache.get("spidra/test", None)
    request.config.cache.set("spidra/test", [begun, took])
    if spidra_api.mode == "replay":
        assert [begun, took] == pytest.approx(known, abs=1e-3)
""")
    run(*record(url=api.url)).assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)


def test_with_a_real_clock_nothing_is_waited_for_but_what_the_client_waits(suite, record, cassettes):
    """A reply that took ten minutes when it was recorded comes within the limit of this test."""
    run = suite("""
@pytest.mark.spidra(modes="replay", clock="real")
def test_it(spidra_api):
    with plain(spidra_api) as client:
        submit(client)
""")
    run(*record()).assert_outcomes(passed=1)
    path = cassettes["test_it.yaml"]
    text, count = re.subn(r"took: [0-9.e-]+", "took: 600.0", path.read_text())
    assert count == 1
    path.write_text(text)
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize("serializer", ["yaml", "json"])
def test_a_cassette_is_plain_vcrpy(suite, record, cassettes, serializer):
    """vcrpy's own loader and its own player know what to do with it, and find every interaction."""
    conftest = f"""
import pytest
@pytest.fixture
def spidra_vcr_config():
    return {{"serializer": {serializer!r}}}
"""
    suite(ONE, conftest=conftest)(*record()).assert_outcomes(passed=2)
    path = cassettes[f"test_prices.{serializer}"]
    text = path.read_text()
    requests, responses = deserialize(text, vcr.VCR().serializers[serializer])
    posted = [json.loads(one.body) if one.method == "POST" else None for one in requests]
    assert posted == [{"urls": ["https://shop.example/1", "https://shop.example/2"]}, None, None]

    with vcr.use_cassette(
        str(path), serializer=serializer, record_mode="none", match_on=["method", "uri", "body"]
    ) as cassette:
        seen = [
            httpx.request(
                one.method,
                one.uri,
                json=body,
                headers={"x-api-key": "other"},
            )
            for one, body in zip(requests, posted, strict=True)
        ]
        assert cassette.all_played

    assert [reply.content for reply in seen] == [one["body"]["string"] for one in responses]
    assert seen[-1].json()["status"] == "completed"
    assert sorted(yaml.safe_load(text)) == ["interactions", "test", "version"]
    assert yaml.safe_load(text)["test"] == "test_shop.py::test_prices"
    assert path.read_text() == text


def test_pytest_recording_plays_a_cassette_of_ours(suite, record, cassettes, pytester):
    pytest.importorskip("pytest_recording")
    suite(ONE)(*record()).assert_outcomes(passed=2)
    text = cassettes["test_prices.yaml"].read_text()
    uri = yaml.safe_load(text)["interactions"][0]["request"]["uri"]
    pytester.makepyfile(
        test_other=SHOP
        + f"""
@pytest.fixture
def vcr_cassette_dir():
    return "cassettes/test_shop"

@pytest.mark.default_cassette("test_prices.yaml")
@pytest.mark.vcr
def test_other(vcr):
    with httpx.Client(base_url={uri.removesuffix("/batch/scrape")!r}) as client:
        assert finish(client, submit(client))["completedCount"] == 2
    assert vcr.play_count == 3
"""
    )
    pytester.runpytest("-p", "no:hypothesispytest", "--record-mode=none", "test_other.py").assert_outcomes(
        passed=1
    )
    assert cassettes["test_prices.yaml"].read_text() == text


def test_a_cassette_that_vcrpy_recorded_is_replayed(suite, api, cassettes):
    """Without times of its own its clock stands still, and the order of replies is kept for each batch."""
    path = cassettes["test_prices.yaml"]
    path.parent.mkdir(parents=True)
    with vcr.use_cassette(str(path)), httpx.Client(base_url=api.url, headers={"x-api-key": KEY}) as client:
        urls = ["https://shop.example/1", "https://shop.example/2"]
        batch = client.post("/batch/scrape", json={"urls": urls}).json()["batchId"]
        for _ in range(2):
            state = client.get(f"/batch/scrape/{batch}").json()
    assert state["status"] == "completed"
    before = cassettes.content

    suite(ONE)("-o", f"spidra_base_url={api.url}").assert_outcomes(passed=2)
    suite(ONE)().assert_outcomes(passed=2)
    assert cassettes.content == before


def test_the_sdk_is_recorded_where_warnings_are_errors(suite, record):
    """Its sync client leaves real connections to the collector; that is no fault of the test's."""
    run = suite("""
import gc
def test_it(spidra_api):
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    batch = client.start_batch_scrape(URLS).batch_id
    assert client.get_batch_scrape(batch).status == "running"
    del client
    gc.collect()
""")
    run(*record(), "-W", "error").assert_outcomes(passed=2)
    run("-W", "error").assert_outcomes(passed=2)


def test_a_scripted_failure_takes_no_recorded_exchange(suite, record, api, cassettes):
    """What is scripted without work done is never sent; what is scripted after it stands as the API answered it."""
    run = suite("""
def test_it(spidra_api):
    spidra_api.batch.submit.script(request_lost(), http_error(504, processed=True), ok())
    spidra_api.batch.get.script(ok(body="truncated"))
    with plain(spidra_api) as client:
        with pytest.raises(httpx.ConnectError):
            submit(client)
        assert client.post("/batch/scrape", json={"urls": URLS}).status_code == 504
        batch = submit(client)
        with pytest.raises(ValueError):
            look(client, batch)
        look(client, batch)
""")
    run(*record()).assert_outcomes(passed=2)
    assert api.requests() == [
        "submit 2 URLs   202 queued",
        "submit 2 URLs   202 queued",
        *("get … 200 running 0/2", "get … 200 completed 2/2"),
    ]
    run().assert_outcomes(passed=2)
    assert statuses(cassettes["test_it.yaml"]) == [202, 202, 200, 200]
    assert all(isinstance(json.loads(one), dict) for one in bodies(cassettes["test_it.yaml"]))


def test_who_gives_up_after_the_reply_has_come_keeps_the_recording(suite, record, cassettes):
    """The reply is lost on the client's side: the API has answered, and a replay shows the same."""
    run = suite("""
async def test_it(spidra_api):
    spidra_api.batch.submit.script(reply_lost())
    async with plain_async(spidra_api) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await client.post("/batch/scrape", json={"urls": URLS})
        assert (await client.get("/batch/scrape?limit=1")).json()["jobs"][0]["totalUrls"] == 2
    assert [one.seen for one in spidra_api.exchanges] == ["cancelled", 200]
""")
    run(*record()).assert_outcomes(passed=2)
    run().assert_outcomes(passed=2)
    assert statuses(cassettes["test_it.yaml"]) == [202, 200]


CLEARING_UP = """
@pytest.fixture
def batch(spidra_api):
    with plain(spidra_api) as client:
        batch = submit(client)
        yield batch
        {code}

def test_it(spidra_api, batch):
    with plain(spidra_api) as client:
        assert look(client, batch)["status"] == "running"
"""


def test_what_fixtures_do_before_and_after_a_test_is_recorded_and_replayed(suite, record, cassettes):
    run = suite(CLEARING_UP.replace("{code}", "client.delete(f'/batch/scrape/{batch}'); look(client, batch)"))
    run(*record()).assert_outcomes(passed=2)
    assert statuses(cassettes["test_it.yaml"]) == [202, 200, 200, 200]
    run().assert_outcomes(passed=2)
    run(*record()).assert_outcomes(passed=2)


def test_a_fixture_that_clears_up_less_or_more_than_recorded_is_an_error(suite, record, cassettes):
    one, two = "client.delete(f'/batch/scrape/{batch}')", "look(client, batch)"
    suite(CLEARING_UP.replace("{code}", f"{one}; {two}"), ini="spidra_modes = replay\n")(
        *record()
    ).assert_outcomes(passed=1)
    before = cassettes.content
    for code, told in {
        one: "1 of the 4 exchanges in * was not asked for: #4 get",
        "pass": "2 of the 4 exchanges in * were not asked for; the first is #3 cancel",
        f"{one}; {two}; {two}": "The client asked for what*recorded no more about this batch",
    }.items():
        result = suite(CLEARING_UP.replace("{code}", code), ini="spidra_modes = replay\n")()
        result.assert_outcomes(passed=1, errors=1)
        first, _, second = told.partition("*")
        shown = " ".join(result.stdout.str().split())
        assert first in shown
        assert second in shown
    assert cassettes.content == before


def test_a_test_that_fails_is_not_told_what_its_fixtures_left_out(suite, record):
    code = "client.delete(f'/batch/scrape/{batch}')"
    run = suite(CLEARING_UP.replace("{code}", code), ini="spidra_modes = replay\n")
    run(*record()).assert_outcomes(passed=1)
    source = CLEARING_UP.replace("{code}", "pass").replace('"running"', '"done"')
    result = suite(source, ini="spidra_modes = replay\n")()
    result.assert_outcomes(failed=1)
    assert "not asked for" not in result.stdout.str()


NOT_SENT = {
    "plain": ONE,
    "plain async": """
async def test_prices(spidra_api):
    async with plain_async(spidra_api) as client:
        await client.post("/batch/scrape", json={"urls": URLS})
""",
    "SDK": """
def test_prices(spidra_api):
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    client.start_batch_scrape(URLS)
""",
    "SDK async": """
async def test_prices(spidra_api):
    async with spidra.AsyncSpidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url) as client:
        await client.start_batch_scrape(URLS)
""",
    "factory": """
def test_prices(spidra_api, spidra_batch_factory):
    spidra_batch_factory()
""",
}


@pytest.fixture(params=NOT_SENT)
def one_test(request, suite):
    """A test of each kind of client that wants to be recorded and is not yet; return how it is run."""

    def one_test(**options):
        return suite(NOT_SENT[request.param], ini="spidra_modes = replay\n", **options)

    return one_test


def test_nothing_is_sent_unless_recording_is_asked_for(one_test, api, cassettes):
    result = one_test()("-o", f"spidra_base_url={api.url}")

    result.assert_outcomes(failed=1)
    assert api.requests() == []
    assert cassettes.names == []
    result.stdout.fnmatch_lines(
        [
            "This test cannot be replayed: there is no cassette",
            "*cassettes/test_shop/test_prices.yaml",
            '    pytest "test_shop.py::test_prices[replay]" --spidra-record=once',
        ]
    )


def test_a_recording_without_a_key_is_refused_in_one_sentence(one_test, api, record, cassettes, monkeypatch):
    monkeypatch.delenv("SPIDRA_API_KEY")

    result = one_test()(*record())

    result.assert_outcomes(failed=1)
    assert api.requests() == []
    assert cassettes.names == []
    assert failure(result) == (
        "Recording needs an API key: set the environment variable SPIDRA_API_KEY. Nothing was sent."
    )


def test_a_blocked_network_is_named(one_test, api, record, cassettes):
    pytest.importorskip("pytest_recording")

    result = one_test()(*record(), "--block-network")

    assert api.requests() == []
    assert cassettes.names == []
    told = failure(result)
    assert "POST /batch/scrape did not reach the API. RuntimeError: Network is disabled for host" in told
    assert "pytest-recording forbids it: --block-network is in force." in told
    assert told.count("The recording ends here") == 1


@pytest.mark.parametrize("warnings_are", ["default", "error"])
def test_disabled_sockets_are_named_before_anything_is_tried(one_test, api, record, cassettes, warnings_are):
    """Event loops could not even begin without sockets of Unix, so these are allowed here as by every user of both."""
    pytest.importorskip("pytest_socket")

    result = one_test()(*record(), "--disable-socket", "--allow-unix-socket", "-W", warnings_are)

    assert api.requests() == []
    assert cassettes.names == []
    assert failure(result) == (
        "This test cannot be recorded: pytest-socket forbids it: --disable-socket or --allow-hosts is in force. "
        "Run without them, or with --force-enable-socket. Nothing was sent."
    )


@pytest.mark.parametrize("warnings_are", ["default", "error"])
def test_hosts_that_are_not_allowed_are_named(one_test, api, record, cassettes, warnings_are):
    pytest.importorskip("pytest_socket")

    result = one_test()(*record(), "--allow-hosts=192.0.2.1", "-W", warnings_are)

    assert api.requests() == []
    assert cassettes.names == []
    told = failure(result)
    assert "POST /batch/scrape did not reach the API." in told
    assert "pytest-socket forbids it: --disable-socket or --allow-hosts is in force." in told


OFFLINE = """
import pytest, socket
@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def getaddrinfo(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
"""


def test_an_offline_machine_is_named(one_test, record, cassettes):
    result = one_test(conftest=OFFLINE)(*record(url="http://api.spidra.example/api"))

    assert cassettes.names == []
    told = failure(result)
    assert "POST /batch/scrape did not reach the API. ConnectError:" in told
    assert "The host's name could not be resolved: this machine seems to be offline" in told


def test_a_port_on_which_nobody_listens_is_named(one_test, api, record, cassettes):
    result = one_test()(*record(url="http://127.0.0.1:1/api"))

    assert cassettes.names == []
    told = failure(result)
    assert "POST /batch/scrape did not reach the API. ConnectError:" in told
    assert "Nobody listens there. The ini option spidra_base_url says where the API is." in told


def test_what_came_before_is_not_taken_for_the_reason(suite, start_api, record):
    """A refused connection elsewhere, and in its wake a lost reply: the message is about the second."""
    api = start_api("""
from pytest_spidra import reply_lost
def script(spidra_server):
    spidra_server.batch.submit.script(reply_lost("ReadError"))
""")
    run = suite(
        """
def test_it(spidra_api):
    with plain(spidra_api) as client:
        try:
            raise ConnectionRefusedError("a database, say")
        except ConnectionRefusedError:
            submit(client)
""",
        ini="spidra_modes = replay\n",
    )
    told = failure(run(*record(url=api.url)))
    assert "POST /batch/scrape got no reply; the API may have done the work all the same." in told
    assert "listens" not in told
    assert "offline" not in told


def bodies(path):
    return [one["response"]["body"]["string"] for one in yaml.safe_load(path.read_text())["interactions"]]


@pytest.mark.parametrize("around", ["\n", " \t\r\n"])
def test_white_space_around_the_key_is_no_part_of_it(suite, record, cassettes, monkeypatch, around):
    monkeypatch.setenv("SPIDRA_API_KEY", around + KEY + around)
    suite(ONE)(*record()).assert_outcomes(passed=2)
    assert KEY not in cassettes["test_prices.yaml"].read_text()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (f"{KEY[:9]}\n{KEY[9:]}", "SPIDRA_API_KEY holds characters that no header can carry"),
        (f"{KEY}\x07x", "SPIDRA_API_KEY holds characters that no header can carry"),
        (f"{KEY}é", "SPIDRA_API_KEY holds characters that no header can carry"),
        ("spd_abc", "SPIDRA_API_KEY has 7 characters: too few to keep it out of a cassette."),
        (" \n", "Recording needs an API key: set the environment variable SPIDRA_API_KEY."),
    ],
    ids=["broken", "with a bell", "beyond ASCII", "short", "blank"],
)
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(suite, record, api, monkeypatch, key, told):
    monkeypatch.setenv("SPIDRA_API_KEY", key)
    result = suite(ONE, ini="spidra_modes = replay\n")(*record(), "-rA", "--showlocals")
    result.assert_outcomes(failed=1)
    shown = " ".join(result.stdout.str().split())
    assert told in shown
    assert "Nothing was sent." in shown
    assert KEY[9:] not in shown
    assert api.requests() == []


def test_modules_of_one_name_have_each_their_own_cassette(suite, record, pytester, cassettes):
    run = suite("", ini="addopts = --import-mode=importlib\n")
    for folder in ("unit", "live"):
        (pytester.path / folder).mkdir()
        (pytester.path / folder / "test_client.py").write_text(
            SHOP + ONE.replace("shop.example", f"{folder}.example")
        )
    run(*record(), "unit", "live").assert_outcomes(passed=4)
    run("unit", "live").assert_outcomes(passed=4)
    names = ["live/test_client/test_prices.yaml", "unit/test_client/test_prices.yaml"]
    assert cassettes.names == names
    tests = [yaml.safe_load((cassettes.folder / name).read_text())["test"] for name in names]
    assert tests == ["live/test_client.py::test_prices", "unit/test_client.py::test_prices"]
