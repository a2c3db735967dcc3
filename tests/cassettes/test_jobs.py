"""Jobs that are no batches are recorded and replayed as batches are."""

from __future__ import annotations

from users_suite import failure

SCRAPES = """
def test_sdk(spidra_api):
    spidra_api.scrape.submit.script(503)
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    assert client.scrape(URLS[0], poll_interval=PAUSE).content.startswith("# ")
    (call,) = spidra_api.exchanges.calls("scrape.submit")
    assert (call.outcomes, call.waits) == ([503, 202], [1.0])

def test_two_at_once(spidra_api):
    with plain(spidra_api) as client:
        ids = [client.post("/scrape", json={"urls": [{"url": url}]}).json()["jobId"] for url in URLS]
        for _ in range(2):
            states = [client.get(f"/scrape/{one}").json() for one in reversed(ids)]
    assert [one["result"]["data"][0]["url"] for one in states] == URLS[::-1]
"""


def test_scrapes_are_recorded_and_replayed(suite, record, api, cassettes):
    run = suite(SCRAPES)
    run(*record()).assert_outcomes(passed=4)
    assert len(api.requests()) == 9
    text = (cassettes["test_sdk.yaml"]).read_text()
    assert "/scrape/" in text
    run("-k", "replay", "--spidra-record=none").assert_outcomes(passed=2, deselected=2)
    assert api.requests() == []


def test_searches_are_recorded_and_replayed(suite, record, api):
    run = suite("""
def test_sdk(spidra_api):
    spidra_api.search.submit.script(503)
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    assert [len(client.search("cats", limit=limit).data.web) for limit in (2, 3)] == [2, 3]
""")
    run(*record()).assert_outcomes(passed=2)
    assert len(api.requests()) == 2
    run("-k", "replay", "--spidra-record=none").assert_outcomes(passed=1, deselected=1)
    assert api.requests() == []


def test_another_scrape_than_the_recorded_one_is_told(suite, record, api):
    source = """
def test_one(spidra_api):
    with plain(spidra_api) as client:
        client.post("/scrape", json={"urls": [{"url": URLS[0]}]})
"""
    suite(source)(*record()).assert_outcomes(passed=2)
    result = suite(source.replace("URLS[0]", "URLS[1]"))("-k", "replay")
    result.assert_outcomes(failed=1, deselected=1)
    told = failure(result)
    assert "asked POST /scrape (1 URL)" in told
    assert "recorded #1 scrape 1 URL (202 queued), in this place" in told


def test_a_factory_of_jobs_is_the_fakes(suite, record, api):
    source = """
def test_one(spidra_api, spidra_job_factory):
    spidra_job_factory("scrape")
"""
    result = suite(source)(*record())
    result.assert_outcomes(failed=1, passed=1)
    assert "spidra_job_factory belongs to the fake service" in failure(result)


def test_crawls_maps_and_documents_are_recorded_and_replayed(suite, record, api):
    run = suite("""
def test_crawl(spidra_api):
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    assert len(client.crawl("https://shop.example", poll_interval=PAUSE).result) == 3
    assert client.crawl_history(limit=1).jobs[0].pages_crawled == 3

def test_map(spidra_api):
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    assert client.map("https://shop.example").total == 3

def test_document(spidra_api):
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
    assert client.parse(b"%PDF", file_name="a.pdf").total_pages == 2
""")
    run(*record()).assert_outcomes(passed=6)
    api.requests()
    run("-k", "replay", "--spidra-record=none").assert_outcomes(passed=3, deselected=3)
    assert api.requests() == []
