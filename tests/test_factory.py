"""The batch factory makes batches that are there when the code under test begins."""

from __future__ import annotations

import re

import pytest

from pytest_spidra import Batch, BatchFactory, completed, failed, stuck

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

A, B, C = "https://a.example/", "https://b.example/", "https://c.example/"


@pytest.fixture
def look(client):
    """Look at a batch as a client does, over HTTP."""

    def look(batch):
        return client.get(f"/batch/scrape/{batch.id}").json()

    return look


def statuses(body):
    return [item["status"] for item in body["items"]]


# -- forms ---------------------------------------------------------------------------------------------

FORMS = {
    "nothing": ((), ["https://example.com/1", "https://example.com/2", "https://example.com/3"]),
    "a number": ((2,), ["https://example.com/1", "https://example.com/2"]),
    "a list": (([A, B],), [A, B]),
    "a tuple": (((A,),), [A]),
    "a generator": (((url for url in (A, B)),), [A, B]),
    "one URL twice": (([A, A],), [A, A]),
    "a mapping": (({A: completed(), B: failed()},), [A, B]),
    "fifty": ((50,), [f"https://example.com/{number}" for number in range(1, 51)]),
}


@pytest.mark.parametrize(("arguments", "urls"), FORMS.values(), ids=FORMS)
def test_urls_are_a_number_or_urls_or_a_mapping(spidra_batch_factory, look, arguments, urls):
    assert isinstance(spidra_batch_factory, BatchFactory)
    batch = spidra_batch_factory(*arguments)
    assert isinstance(batch, Batch)
    assert batch.urls == urls
    body = look(batch)
    assert [item["url"] for item in body["items"]] == urls
    assert (body["status"], body["totalUrls"]) == ("completed", len(urls))


def test_a_finished_batch_has_results_credits_and_times(spidra_batch_factory, look):
    body = look(spidra_batch_factory([A], prompt="title"))
    (item,) = body["items"]
    assert item["result"] == {"url": A, "title": f"Scraped {A}"}
    assert (item["creditsUsed"], item["error"], item["status"]) == (1, None, "completed")
    assert body["createdAt"] < item["startedAt"] < item["finishedAt"] <= body["finishedAt"]


def test_a_mapping_says_how_the_attempts_end_the_first_included(spidra_batch_factory, look, client):
    batch = spidra_batch_factory(
        {A: completed({"n": 1}, credits=7), B: [failed("blocked"), completed({"n": 2})]}
    )
    first = look(batch)
    assert [item["result"] for item in first["items"]] == [{"n": 1}, None]
    assert [item["error"] for item in first["items"]] == [None, "blocked"]
    assert [item["creditsUsed"] for item in first["items"]] == [7, 0]
    assert client.post(f"/batch/scrape/{batch.id}/retry").json()["retriedCount"] == 1
    assert [look(batch)["status"] for _ in range(2)] == ["running", "completed"]
    assert look(batch)["items"][1]["result"] == {"n": 2}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_last_items_fail_in_their_first_attempt(spidra_batch_factory, look, client, count):
    batch = spidra_batch_factory(failed=count)
    body = look(batch)
    assert statuses(body) == ["completed"] * (3 - count) + ["failed"] * count
    assert (body["status"], body["failedCount"]) == ("completed", count)
    assert batch.failed_urls == batch.urls[3 - count :]
    if count:
        assert client.post(f"/batch/scrape/{batch.id}/retry").status_code == 202
        looks = [look(batch) for _ in range(2)]
        assert [(one["status"], one["failedCount"]) for one in looks] == [("running", 0), ("completed", 0)]


def test_outcomes_of_the_mock_decide_about_later_attempts(spidra_mock, spidra_batch_factory, look, client):
    spidra_mock.batch.outcomes({"https://example.com/3": [failed("first"), failed("again"), completed()]})
    batch = spidra_batch_factory(failed=1)
    assert look(batch)["items"][2]["error"] == "Timeout"
    for expected in ("failed", "completed"):
        client.post(f"/batch/scrape/{batch.id}/retry")
        look(batch)
        assert look(batch)["items"][2]["status"] == expected


def test_outcomes_for_one_batch_leave_the_others(spidra_mock, spidra_batch_factory, look, client):
    mine, other = spidra_batch_factory([A], failed=1), spidra_batch_factory([A], failed=1)
    spidra_mock.batch.outcomes({A: [completed(), failed("again")]}, batch=mine)
    ends = []
    for batch in (mine, other):
        client.post(f"/batch/scrape/{batch.id}/retry")
        look(batch)
        ends.append(statuses(look(batch)))
    assert ends == [["failed"], ["completed"]]


# -- states --------------------------------------------------------------------------------------------

STATES = {
    "pending": ("pending", ["pending"] * 3, ["running"] * 3),
    "running": ("running", ["running"] * 3, ["completed"] * 3),
    "completed": ("completed", ["completed"] * 3, ["completed"] * 3),
    "failed": ("failed", ["completed"] * 3, ["completed"] * 3),
    "cancelled": ("cancelled", ["cancelled"] * 3, ["cancelled"] * 3),
}


@pytest.mark.parametrize(("status", "first", "second"), STATES.values(), ids=STATES)
def test_the_first_look_finds_the_batch_in_its_state(spidra_batch_factory, look, status, first, second):
    batch = spidra_batch_factory(status=status)
    assert batch.status == status
    body = look(batch)
    assert (body["status"], statuses(body)) == (status, first)
    assert (body["finishedAt"] is None) == (status in {"pending", "running"})
    assert statuses(look(batch)) == second


@pytest.mark.parametrize("status", STATES)
def test_a_handle_reads_the_batch_without_a_look(spidra_mock, spidra_batch_factory, look, status):
    batch = spidra_batch_factory(status=status)
    for _ in range(5):
        assert batch.status == status
        assert len(batch.items) == 3
    assert len(spidra_mock.exchanges) == 0
    assert look(batch)["status"] == status


@pytest.mark.parametrize(
    ("status", "first", "last"),
    [
        ("pending", ["pending", "pending"], ["completed", "failed"]),
        ("running", ["running", "running"], ["completed", "failed"]),
        ("completed", ["completed", "failed"], ["completed", "failed"]),
        ("failed", ["completed", "failed"], ["completed", "failed"]),
        ("cancelled", ["cancelled", "failed"], ["cancelled", "failed"]),
    ],
)
def test_failing_items_fail_in_every_state(spidra_batch_factory, look, status, first, last):
    batch = spidra_batch_factory(2, failed=1, status=status)
    assert statuses(look(batch)) == first
    for _ in range(2):
        look(batch)
    assert statuses(look(batch)) == last


def test_a_running_batch_can_have_items_that_have_ended(spidra_batch_factory, look):
    batch = spidra_batch_factory({A: failed(after_polls=0), B: completed(), C: stuck()}, status="running")
    assert [statuses(look(batch)) for _ in range(3)] == [
        ["failed", "running", "running"],
        ["failed", "completed", "running"],
        ["failed", "completed", "running"],
    ]


def test_only_a_failed_or_finished_batch_can_be_retried_and_only_an_unfinished_cancelled(
    spidra_batch_factory, client
):
    found = {}
    for status in STATES:
        batch = spidra_batch_factory(failed=1, status=status)
        found[status] = (
            client.post(f"/batch/scrape/{batch.id}/retry").status_code,
            client.delete(f"/batch/scrape/{spidra_batch_factory(status=status).id}").status_code,
        )
    assert found == {
        "pending": (400, 200),
        "running": (400, 200),
        "completed": (202, 409),
        "failed": (202, 409),
        "cancelled": (409, 409),
    }


@pytest.mark.parametrize("owner", ["someone else", "Me", "ME"])
@pytest.mark.parametrize(("method", "end"), [("GET", ""), ("DELETE", ""), ("POST", "/retry")])
def test_a_batch_of_somebody_else_is_not_found(spidra_batch_factory, client, owner, method, end):
    batch = spidra_batch_factory(failed=1, owner=owner)
    reply = client.request(method, f"/batch/scrape/{batch.id}{end}")
    assert reply.status_code == 404
    assert reply.json() == {"status": "error", "message": "Batch not found."}


def test_a_batch_of_somebody_else_stands_in_no_list(spidra_batch_factory, client):
    mine = spidra_batch_factory()
    spidra_batch_factory(owner="someone else")
    assert [job["uuid"] for job in client.get("/batch/scrape").json()["jobs"]] == [mine.id]


def test_options_of_the_submit_shape_the_batch(spidra_batch_factory, look, client):
    batch = spidra_batch_factory([A], output="markdown", screenshot=True, useProxy=True, proxyCountry="de")
    (item,) = look(batch)["items"]
    assert item["result"] == f"# {A}\n\nScraped."
    assert item["screenshotUrl"].startswith("https://")
    assert client.get("/batch/scrape").json()["jobs"][0]["outputFormat"] == "markdown"


# -- no trace in the evidence --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_finished_batch_stands_neither_in_the_log_nor_in_the_ledger(
    spidra_mock, spidra_batch_factory, status
):
    spidra_batch_factory(5, failed=2, status=status)
    assert len(spidra_mock.exchanges) == 0
    assert spidra_mock.exchanges.calls() == ()
    ledger = spidra_mock.credits
    assert (ledger.reserved, ledger.charged, ledger.refunded) == (0, 0, 0)
    assert spidra_mock.account.credits == 10_000


def test_an_unfinished_batch_holds_credits(spidra_mock, spidra_batch_factory, look):
    batch = spidra_batch_factory({A: completed(), B: failed()}, status="running")
    assert (spidra_mock.credits.reserved, spidra_mock.credits.charged) == (2, 1)
    look(batch)
    look(batch)
    assert (spidra_mock.credits.charged, spidra_mock.credits.refunded) == (1, 1)


def test_a_retry_of_the_factorys_batch_stands_in_the_ledger(spidra_mock, spidra_batch_factory, client, look):
    batch = spidra_batch_factory(5, failed=2)
    client.post(f"/batch/scrape/{batch.id}/retry")
    assert (spidra_mock.credits.reserved, spidra_mock.credits.charged) == (2, 2)
    look(batch)
    look(batch)
    assert (spidra_mock.credits.reserved, spidra_mock.credits.charged) == (2, 2)


def test_the_bill_counts_a_batch_that_nobody_looks_at(spidra_mock, submit):
    """What is accepted is scraped and charged, whether or not anybody looks; what fails or hangs is not."""
    spidra_mock.batch.outcomes({A: failed(), B: stuck()})
    submit(A, B, "https://c.example/", "https://d.example/")
    assert (spidra_mock.credits.reserved, spidra_mock.credits.charged) == (4, 2)


def test_batches_stand_in_the_order_of_creation(spidra_mock, spidra_batch_factory, submit):
    first = spidra_batch_factory()
    made = submit().json()["batchId"]
    last = spidra_batch_factory(status="running")
    assert [batch.id for batch in spidra_mock.batches] == [first.id, made, last.id]


def test_a_prefabricated_batch_takes_no_scripted_end(spidra_mock, spidra_batch_factory, submit, look):
    spidra_mock.batch.ends("failed", after_polls=0)
    batch = spidra_batch_factory(status="running")
    assert look(batch)["status"] == "running"
    submit()
    assert look(spidra_mock.batches[-1])["status"] == "failed"


def test_a_handle_is_equal_to_the_batchs_other_handle(spidra_mock, spidra_batch_factory):
    batch, other = spidra_batch_factory(failed=1), spidra_batch_factory()
    assert batch == spidra_mock.batches[0]
    assert batch != other
    assert batch != batch.id
    assert {batch, *spidra_mock.batches} == {batch, other}
    assert repr(batch) == f"<Batch {batch.id} completed, 3 URLs, 1 failed>"


# -- what is refused -----------------------------------------------------------------------------------

FIELDS = (
    *("prompt", "output", "schema", "useProxy", "proxyCountry", "extractContentOnly", "cookies"),
    *("screenshot", "fullPageScreenshot", "scrapeMode"),
)
OUTCOME = (
    "An outcome is what completed(…), failed(…) or stuck() return, or a list of them, one for each attempt."
)

WRONG = {
    "no URL": (([],), {}, ValueError, "the API would refuse this batch: At least one URL is required."),
    "the number 0": ((0,), {}, ValueError, "the API would refuse this batch: At least one URL is required."),
    "a number below 0": (
        (-1,),
        {},
        ValueError,
        "the API would refuse this batch: At least one URL is required.",
    ),
    "too many": ((51,), {}, ValueError, "the API would refuse this batch: A batch takes at most 50 URLs."),
    "a scheme that is none": (
        (["ftp://a.example/"],),
        {},
        ValueError,
        "the API would refuse this batch: urls[0] must begin with http:// or https://.",
    ),
    "an address within": (
        ([A, "http://10.0.0.1/"],),
        {},
        ValueError,
        "the API would refuse this batch: urls[1] points to a private or internal address.",
    ),
    "a URL that is no text": (
        ([7],),
        {},
        ValueError,
        "the API would refuse this batch: urls[0] must be a string.",
    ),
    "an option of another type": (
        (),
        {"useProxy": "yes"},
        ValueError,
        "the API would refuse this batch: useProxy must be a boolean.",
    ),
    "an option in the SDK's spelling": (
        (),
        {"use_proxy": True},
        ValueError,
        f"a submit has no field 'use_proxy'. The fields are those of the API: {', '.join(FIELDS)}.",
    ),
    "one URL as a text": (
        (A,),
        {},
        TypeError,
        f"urls is a number, the URLs, or {{url: outcome}}, not '{A}'",
    ),
    "nothing that has URLs": (
        (None,),
        {},
        TypeError,
        "urls is a number, the URLs, or {url: outcome}, not None",
    ),
    "True": ((True,), {}, TypeError, "urls is a number, the URLs, or {url: outcome}, not True"),
    "a state that is none": (
        (),
        {"status": "done"},
        ValueError,
        "a batch is found pending, running, completed, failed, cancelled, not 'done'",
    ),
    "more failed than there are": (
        (2,),
        {"failed": 3},
        ValueError,
        "failed=3 of a batch of 2: give a number from 0 to 2",
    ),
    "failed below 0": (
        (2,),
        {"failed": -1},
        ValueError,
        "failed=-1 of a batch of 2: give a number from 0 to 2",
    ),
    "failed=True": (
        (2,),
        {"failed": True},
        ValueError,
        "failed=True of a batch of 2: give a number from 0 to 2",
    ),
    "both ways of failing": (
        ({A: failed()},),
        {"failed": 1},
        ValueError,
        "failed=… and a mapping both say how items end: give one of them",
    ),
    "no owner": ((), {"owner": ""}, ValueError, "owner is \"me\" or somebody else's name, not ''"),
    "an owner that is no name": (
        (),
        {"owner": None},
        (TypeError, ValueError),
        'owner is "me" or somebody else\'s name, not None',
    ),
    "a step as an outcome": (
        ({A: 503},),
        {},
        TypeError,
        f"503 is no outcome for '{A}'. {OUTCOME}",
    ),
    "an empty list of outcomes": (
        ({A: []},),
        {},
        ValueError,
        f"the list of outcomes for '{A}' is empty; leave the URL out to let it complete",
    ),
    "a stuck item of a finished batch": (
        ({A: stuck()},),
        {},
        ValueError,
        f"a completed batch has no item that is stuck, and '{A}' is",
    ),
    "a pending batch with an item that has ended": (
        ({A: completed(after_polls=0)},),
        {"status": "pending"},
        ValueError,
        f"in a pending batch no item has begun, and '{A}' ends at once",
    ),
    "a running batch of ended items": (
        ({A: completed(after_polls=0)},),
        {"status": "running"},
        ValueError,
        "a running batch has an item that has not ended, and here every item ends at once",
    ),
}


@pytest.mark.parametrize(("arguments", "settings", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_in_words(
    spidra_mock, spidra_batch_factory, arguments, settings, error, message
):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        spidra_batch_factory(*arguments, **settings)
    assert spidra_mock.batches == []


UNFIT = [("running", completed(after_polls=0)), ("pending", failed(after_polls=0)), ("completed", stuck())]


@pytest.mark.parametrize(("status", "outcome"), UNFIT, ids=[status for status, _ in UNFIT])
def test_outcomes_for_all_batches_do_not_change_the_state_asked_for(
    spidra_mock, spidra_batch_factory, look, status, outcome
):
    """What was scripted for everybody gives way where no batch could be found in that state."""
    spidra_mock.batch.outcomes({A: outcome})
    body = look(spidra_batch_factory([A], status=status))
    assert (body["status"], statuses(body)) == (status, [status])


def test_the_factory_alone_brings_the_mock(run_tests):
    run_tests(
        """
        import httpx

        def test_it(spidra_batch_factory):
            batch = spidra_batch_factory(failed=1)
            url = f"https://api.spidra.io/api/batch/scrape/{batch.id}"
            reply = httpx.get(url, headers={"x-api-key": "k"})
            assert reply.json()["failedCount"] == 1
        """
    ).assert_outcomes(passed=1)
