"""Scrapes as users of the fixtures meet them: scripts, factory, routes, the SDK, verdicts, a port, a recording."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import spidra

from pytest_spidra import Job, JobFactory, completed, failed, http_error, ok, reply_lost, stuck

A, B = "https://a.example/", "https://b.example/"


@pytest.fixture
def sdk(spidra_mock):
    return spidra.Spidra(api_key=spidra_mock.api_key)


def scraped(client, *urls):
    return client.post("/scrape", json={"urls": [{"url": url} for url in urls or (A,)]})


# -- words ---------------------------------------------------------------------------------------------


def test_the_sdk_scrapes_a_page(sdk, spidra_mock):
    spidra_mock.scrape.outcomes({A: completed({"price": 7}, after_polls=2)})
    result = sdk.scrape(A, prompt="the price", output="json")
    assert result.content == {"price": 7}
    assert [one.endpoint for one in spidra_mock.exchanges] == ["scrape.submit"] + ["scrape.get"] * 3
    assert spidra_mock.clock.elapsed == 6.0
    spidra_mock.assert_credits(reserved=1, charged=1, refunded=0)
    spidra_mock.assert_rules()


async def test_the_async_sdk_scrapes_a_page(spidra_mock):
    spidra_mock.scrape.get.script(503)
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
        assert (await sdk.scrape(A)).content.startswith("# ")
    (first, *_) = spidra_mock.exchanges.calls("scrape.get")
    assert first.outcomes == [503, 200]


def test_a_failed_scrape_is_the_sdks_job_failed_error(sdk, spidra_mock):
    spidra_mock.scrape.outcomes({A: failed("blocked")})
    with pytest.raises(spidra.SpidraJobFailedError, match="blocked") as raised:
        sdk.scrape(A)
    assert raised.value.job_id == spidra_mock.jobs[0].id


def test_a_stuck_scrape_runs_into_the_sdks_timeout_and_goes_on(sdk, spidra_mock):
    spidra_mock.scrape.outcomes({A: stuck()})
    with pytest.raises(spidra.SpidraTimeoutError):
        sdk.scrape(A, timeout=10)
    assert spidra_mock.jobs[0].status == "active"


def test_a_result_that_nobody_fetched_in_time_is_gone(sdk, spidra_mock):
    job_id = sdk.start_scrape(A).job_id
    assert sdk.get_scrape(job_id).status == "active"
    assert sdk.get_scrape(job_id).status == "completed"
    spidra_mock.clock.advance(3601)
    with pytest.raises(spidra.SpidraNotFoundError, match="Job not found"):
        sdk.get_scrape(job_id)


def test_a_job_that_answers_cancelled_crashes_the_sdk(sdk, spidra_mock):
    """No scrape is ever cancelled; a client that meets the word all the same gets an AttributeError."""
    spidra_mock.router["scrape.get"].respond(200, json={"status": "cancelled"})
    with pytest.raises(AttributeError, match="'ScrapeJobPending' object has no attribute 'result'"):
        sdk.scrape(A)


def test_schema_warnings_are_shown_by_start_scrape_only(sdk):
    schema = {"type": "object", "properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}
    queued = sdk.start_scrape(A, schema=schema)
    assert len(queued.schema_warnings) == 1
    assert sdk.get_scrape(queued.job_id).schema_warnings == queued.schema_warnings


def test_each_job_goes_through_the_steps_on_its_own(client, spidra_mock):
    spidra_mock.scrape.get.script(503, ok())
    jobs = [scraped(client).json()["jobId"] for _ in range(2)]
    assert [client.get(f"/scrape/{job}").status_code for job in jobs for _ in range(2)] == [503, 200] * 2


def test_a_step_may_be_for_one_job(client, spidra_mock, spidra_job_factory):
    job = spidra_job_factory("scrape")
    spidra_mock.scrape.get.script(500, job=job)
    spidra_mock.scrape.get.always(502, job=job.id)
    other = scraped(client).json()["jobId"]
    assert [client.get(f"/scrape/{one}").status_code for one in (other, job.id, job.id)] == [200, 500, 502]


def test_a_submit_is_of_no_single_job(spidra_mock):
    with pytest.raises(ValueError, match=r"scrape.submit concerns no single job: leave out job=…"):
        spidra_mock.scrape.submit.script(503, job="x")


@pytest.mark.parametrize("name", ["sumbit", "list", "ends"])
def test_what_a_scrape_has_not_is_told(spidra_mock, name):
    with pytest.raises(
        AttributeError, match=r"is no endpoint of scrape.*The endpoints are scrape.submit, scrape.get"
    ):
        getattr(spidra_mock.scrape, name)


@pytest.mark.parametrize("flag", ["delayed", "low_content", "ai_extraction_failed", "extraction_empty"])
def test_a_batchs_item_cannot_show_what_a_scrape_can(spidra_mock, flag):
    with pytest.raises(ValueError, match=f"{flag} cannot be shown of a batch's item"):
        spidra_mock.batch.outcomes({A: completed(**{flag: True})})


@pytest.mark.parametrize("captchas", [-1, 1.5, True])
def test_captchas_are_counted_in_whole_numbers(captchas):
    with pytest.raises(ValueError, match="counts CAPTCHAs from 0 on"):
        completed(captchas=captchas)


UNUSED = {
    "a URL that nobody scraped": (
        "spidra_mock.scrape.outcomes({'https://b.example': failed()})",
        "scrape.outcomes: no scrape had the URL https://b.example",
    ),
    "a URL that is nearly one": (
        "spidra_mock.scrape.outcomes({'https://a.example': failed()})",
        "did you mean",
    ),
    "a second scrape that never came": (
        "spidra_mock.scrape.outcomes({'https://a.example/': [failed(), completed()]})",
        "scrape.outcomes: no scrape came to outcome 2 of 2 of https://a.example/",
    ),
    "a step that was not reached": ("spidra_mock.scrape.get.script(503)", "scrape.get: "),
}


@pytest.mark.parametrize(("line", "told"), UNUSED.values(), ids=UNUSED)
def test_what_was_scripted_and_never_came_fails_the_test(run_tests, line, told):
    source = f"""
        import httpx
        from pytest_spidra import completed, failed

        def test_it(spidra_mock):
            {line}
            httpx.post(spidra_mock.base_url + "/scrape", headers={{"x-api-key": "spd_mock"}},
                       json={{"urls": [{{"url": "https://a.example/"}}]}})
    """
    result = run_tests(source)
    result.assert_outcomes(failed=1) if "errors" not in result.parseoutcomes() else None
    assert told.lower() in result.stdout.str().lower()


def test_outcomes_that_come_too_late_fail_the_test(run_tests):
    result = run_tests("""
        import httpx
        from pytest_spidra import failed

        def test_it(spidra_mock):
            httpx.post(spidra_mock.base_url + "/scrape", headers={"x-api-key": "spd_mock"},
                       json={"urls": [{"url": "https://a.example/"}]})
            spidra_mock.scrape.outcomes({"https://a.example/": failed()})
    """)
    assert "given for https://a.example/ when its scrape had begun already" in result.stdout.str()


# -- factory and handle --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["waiting", "active", "completed", "failed"])
def test_the_factory_makes_a_scrape_that_is_found_just_so(spidra_mock, spidra_job_factory, client, status):
    assert isinstance(spidra_job_factory, JobFactory)
    job = spidra_job_factory("scrape", [A, B], status=status)
    assert isinstance(job, Job)
    assert (job.kind, job.urls, job.status) == ("scrape", [A, B], status)
    assert len(spidra_mock.exchanges) == 0
    assert client.get(f"/scrape/{job.id}").json()["status"] == status
    assert (job.result is not None) == (status == "completed")
    assert (job.error is not None) == (status == "failed")
    spidra_mock.assert_credits(reserved=2 if status in {"waiting", "active"} else 0)


@pytest.mark.spidra(rules="off")
def test_the_factorys_scrape_goes_on_when_it_is_looked_at(spidra_job_factory, client):
    job = spidra_job_factory("scrape", status="waiting")
    seen = [client.get(f"/scrape/{job.id}").json()["status"] for _ in range(3)]
    assert seen == ["waiting", "active", "completed"]


def test_a_strangers_scrape_is_not_found(spidra_job_factory, client):
    job = spidra_job_factory("scrape", owner="someone else")
    assert client.get(f"/scrape/{job.id}").status_code == 404


def test_a_mapping_says_how_the_job_fares(spidra_job_factory, client):
    job = spidra_job_factory(
        "scrape", {A: completed({"n": 1}), B: failed("blocked")}, prompt="p", output="json"
    )
    result = client.get(f"/scrape/{job.id}").json()["result"]
    assert [one["success"] for one in result["data"]] == [True, False]


WRONG_ORDERS = {
    "no kind": (("scrap",), {}, "'scrap' is no kind of job. Did you mean 'scrape'"),
    "a batch's word": (
        ("scrape",),
        {"status": "pending"},
        "a scrape is found waiting, active, completed, failed",
    ),
    "no such word": (("scrape",), {"status": "cancelled"}, "a scrape is found"),
    "too many": (("scrape", 4), {}, "the API would refuse this scrape: A scrape takes at most 3 URLs."),
    "a wrong option": (("scrape",), {"prompt": 5}, "the API would refuse this scrape"),
    "two outcomes": (("scrape", {A: [failed(), completed()]}), {}, "goes to each URL once"),
    "stuck and ended": (("scrape", {A: stuck()}), {}, "is not stuck"),
    "failed and completed": (("scrape", {A: completed()}), {"status": "failed"}, "fails when all of it does"),
    "completed and failed": (("scrape", {A: failed()}), {}, "completes when some of it does"),
    "waiting and ended": (("scrape", {A: failed(after_polls=0)}), {"status": "waiting"}, "ends at once"),
}


@pytest.mark.parametrize(("given", "options", "told"), WRONG_ORDERS.values(), ids=WRONG_ORDERS)
def test_what_cannot_be_ordered_is_refused(spidra_job_factory, given, options, told):
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        spidra_job_factory(*given, **options)


def test_handles_are_equal_when_their_ids_are(spidra_mock, client, spidra_job_factory):
    job = spidra_job_factory("scrape")
    assert job == spidra_mock.jobs[0]
    assert hash(job) == hash(spidra_mock.jobs[0])
    assert job != job.id
    assert repr(job) == f"<Job {job.id} (scrape) completed>"
    scraped(client)
    assert [one.status for one in spidra_mock.jobs] == ["completed", "waiting"]


def test_the_handle_of_a_job_does_where_a_batch_is_asked_for(spidra_mock, client, spidra_job_factory):
    job = spidra_job_factory("scrape")
    client.get(f"/scrape/{job.id}")
    spidra_mock.assert_polled_until_done(job)


# -- routes, the log, endless loops --------------------------------------------------------------------


def test_a_route_of_respx_answers_in_the_services_place(client, spidra_mock):
    spidra_mock.router["scrape.submit"].respond(500)
    assert scraped(client).status_code == 500
    assert spidra_mock.jobs == []


def test_the_timeline_tells_scrapes_from_batches(client, submit, spidra_mock):
    job = scraped(client, A, B).json()["jobId"]
    batch = submit(A).json()["batchId"]
    client.get(f"/scrape/{job}")
    client.get(f"/batch/scrape/{batch}")
    told = [line.split(None, 2)[2] for line in str(spidra_mock.exchanges).splitlines()[1:]]
    asked = ["scrape 2 URLs ", "submit 1 URL ", "scrape 00000001 ", "get 00000001 "]
    assert [line.startswith(words) for line, words in zip(told, asked, strict=True)] == [True] * 4


def test_an_exchange_of_a_job_knows_its_id_and_family(client, spidra_mock):
    job = scraped(client).json()["jobId"]
    (exchange,) = spidra_mock.exchanges
    assert (exchange.job_id, exchange.batch_id, exchange.family, exchange.kind) == (
        job,
        job,
        "scrape",
        "submit",
    )


def test_an_endless_loop_of_looks_is_ended(run_tests):
    result = run_tests(
        """
        import time
        import httpx
        from pytest_spidra import stuck

        def test_it(spidra_mock):
            spidra_mock.scrape.outcomes({"https://a.example/": stuck()})
            with httpx.Client(base_url=spidra_mock.base_url, headers={"x-api-key": "spd_mock"}) as client:
                job = client.post("/scrape", json={"urls": [{"url": "https://a.example/"}]}).json()["jobId"]
                while client.get(f"/scrape/{job}").json()["status"] != "completed":
                    time.sleep(3)
        """,
        ini="spidra_request_limit = 50",
    )
    result.assert_outcomes(failed=1)
    assert "more than 50 requests without any progress" in result.stdout.str()


def test_many_scrapes_are_progress(client, spidra_mock):
    for number in range(400):
        job = scraped(client, f"https://a.example/{number}").json()["jobId"]
        for _ in range(2):
            body = client.get(f"/scrape/{job}").json()
            spidra_mock.clock.advance(3)
        assert body["status"] == "completed"
    assert len(spidra_mock.exchanges) == 1200


# -- a port, a recording -------------------------------------------------------------------------------


async def test_the_sdk_scrapes_through_a_port(spidra_server):
    spidra_server.scrape.outcomes({A: completed({"n": 1})})
    spidra_server.scrape.get.script(503)
    settings = {"api_key": spidra_server.api_key, "api_url": spidra_server.base_url, "backoff_factor": 0.001}
    async with spidra.AsyncSpidra(**settings) as sdk:  # the sync client leaves its sockets open
        result = await sdk.scrape(A, prompt="p", output="json", poll_interval=0.01)
    assert result.content == {"n": 1}
    (first, *_) = spidra_server.exchanges.calls("scrape.get")
    assert first.outcomes == [503, 200]


def test_a_lost_reply_on_a_port_leaves_a_job_that_is_billed(spidra_server):
    spidra_server.scrape.submit.script(reply_lost())
    with httpx.Client(headers={"x-api-key": "spd_mock"}) as client, pytest.raises(httpx.TransportError):
        client.post(f"{spidra_server.base_url}/scrape", json={"urls": [{"url": A}]})
    assert spidra_server.credits.charged == 1


def test_an_async_client_may_scrape_at_the_same_time(spidra_mock):
    async def flow():
        async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
            return await asyncio.gather(*(sdk.scrape(f"https://a.example/{number}") for number in range(20)))

    assert len(asyncio.run(flow())) == 20
    assert spidra_mock.clock.elapsed == 3.0
    spidra_mock.assert_rules()


@pytest.mark.spidra(rules="off")
def test_every_typed_error_is_one_line(sdk, spidra_mock):
    errors = {
        401: spidra.SpidraAuthenticationError,
        402: spidra.SpidraPaymentRequiredError,
        403: spidra.SpidraForbiddenError,
        404: spidra.SpidraNotFoundError,
        422: spidra.SpidraValidationError,
        429: spidra.SpidraRateLimitError,
        500: spidra.SpidraServerError,
    }
    spidra_mock.scrape.submit.script(*(http_error(status) for status in errors))
    for error in errors.values():
        with pytest.raises(error):
            sdk.start_scrape(A)
