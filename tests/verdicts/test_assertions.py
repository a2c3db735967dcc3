"""Every assertion holds of a careful client, and fails of another with a message that is checked to the letter."""

from __future__ import annotations

import time

import httpx
import pytest

from pytest_spidra import completed, failed, http_error, reply_lost, service_busy

# What is unsafe is done on purpose here.
pytestmark = [
    pytest.mark.spidra(rules="off", allow_unused_steps=True),
    pytest.mark.usefixtures("plain_ids"),
]

URLS = ["https://a.example/", "https://b.example/"]
ID = "00000001-0000-4000-8000-000000000000"
PATH = f"/batch/scrape/{ID}"
HEADING = "        #  seconds    wait by    request         the client saw\n"

LINE = {
    "submitted": "       #1     0.00               submit 2 URLs   202 queued\n",
    "refused": "       #1     0.00               submit 2 URLs   503\n"
    "          scripted http_error(503); the service never saw it\n",
}


class Client:
    """Does things in the order in which a case names them; a number is a wait in seconds."""

    def __init__(self, mock, client):
        self.mock, self.client = mock, client

    def do(self, *words):
        for word in words:
            if isinstance(word, int | float):
                time.sleep(word)
                continue
            try:
                getattr(self, word)()
            except httpx.TransportError:
                continue

    def submit(self):
        self.client.post("/batch/scrape", json={"urls": URLS})

    def submit_one(self):
        self.client.post("/batch/scrape", json={"urls": URLS[:1]})

    def get(self):
        self.client.get(PATH)

    def retry(self):
        self.client.post(f"{PATH}/retry")

    def busy(self):
        self.mock.batch.submit.script(service_busy(20))

    def refuse(self):
        self.mock.batch.submit.script(503)

    def refuse_gets(self):
        self.mock.batch.get.script(503)

    def invalid(self):
        self.mock.batch.submit.script(422)

    def lose(self):
        self.mock.batch.submit.script(reply_lost())

    def fail_one(self):
        self.mock.batch.outcomes({URLS[0]: [failed(), completed()]})

    def slow(self):
        self.mock.batch.outcomes(dict.fromkeys(URLS, completed(after_seconds=30)))


@pytest.fixture
def doing(spidra_mock, client):
    return Client(spidra_mock, client).do


HOLDS = {
    "assert_attempts": (("refuse", "submit", 1, "submit"), ("batch.submit", 2), {}),
    "assert_attempts, never asked": (("submit",), ("batch.retry", 0), {}),
    "assert_not_retried": (("submit", "get"), ("batch.submit",), {}),
    "assert_gave_up": (("refuse", "refuse", "submit", 1, "submit"), ("batch.submit", 2), {}),
    "assert_backed_off": (
        ("refuse", "refuse", "submit", 1, "submit", 2, "submit"),
        ("batch.submit", [1, 2]),
        {},
    ),
    "assert_backed_off, jitter": (
        ("refuse", "submit", 1.2, "submit"),
        ("batch.submit", [1.0]),
        {"jitter": 0.25},
    ),
    "assert_respected_retry_after": (("busy", "submit", 20, "submit"), (), {}),
    "assert_respected_retry_after, cap": (("busy", "submit", 5, "submit"), (), {"cap": 5}),
    "assert_only_transient_retried": (("refuse", "submit", 1, "submit"), (), {}),
    "assert_submitted_once": (("refuse", "submit", 1, "submit"), (), {}),
    "assert_submitted_once, of one": (("submit", "submit_one"), (URLS[1:],), {}),
    "assert_within": (("submit", "get", 3, "get"), (), {"seconds": 3, "requests": 3, "credits": 2}),
    "assert_batch_retried": (("fail_one", "submit", "get", 3, "get", "retry"), (ID,), {}),
    "assert_batch_not_retried": (("submit", "get"), (ID,), {}),
    "assert_only_failed_items_retried": (("fail_one", "submit", "get", 3, "get", "retry"), (ID,), {}),
    "assert_polled_until_done": (("submit", "get", 3, "get"), (ID,), {}),
    "assert_poll_interval": (("slow", "submit", "get", 3, "get"), (ID, 2, 5), {}),
    "assert_poll_interval, at least": (("slow", "submit", "get", 60, "get"), (ID, 2), {}),
    "assert_credits": (("submit", "get", 3, "get"), (), {"reserved": 2, "charged": 2, "refunded": 0}),
    "assert_rules": (("submit", "get", 3, "get", "get"), (), {}),
}


@pytest.mark.parametrize(("words", "args", "settings"), HOLDS.values(), ids=HOLDS)
def test_it_holds(doing, spidra_mock, request, words, args, settings):
    name = request.node.callspec.id.partition(",")[0]
    doing(*words)
    assert getattr(spidra_mock, name)(*args, **settings) is None


FAILS = {
    "assert_attempts": (
        ("refuse", "submit", 1, "submit"),
        ("batch.submit", 3),
        {},
        (
            "batch.submit was to take 3 attempts and took 2.\n"
            "\n"
            "The number of attempts is the client's retry policy: fewer give up on a\n"
            "passing failure, more add load and, for a POST, risk paying again.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   503\n"
            "          scripted http_error(503); the service never saw it\n"
            ">      #2     1.00   +1.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, correct the client's limit, or the number here:\n"
            "assert_attempts('batch.submit', 2)."
        ),
    ),
    "assert_not_retried": (
        ("refuse", "submit", 1, "submit"),
        ("batch.submit",),
        {},
        (
            "batch.submit was not to be retried and was: 503, 202 queued.\n"
            "\n"
            "A request that is sent again can do its work twice; for a submit that\n"
            "means paying twice.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['refused']}"
            ">      #2     1.00   +1.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, let the client report the first error of this endpoint. To\n"
            "allow it, say how often: assert_attempts('batch.submit', 2)."
        ),
    ),
    "assert_not_retried, never asked": (
        ("submit",),
        ("batch.retry",),
        {},
        (
            "batch.retry was never asked.\n"
            "\n"
            "An assertion about something that never happened would always hold and\n"
            "show nothing.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "\n"
            "To fix it, let the client get there. To say that it does not,\n"
            "assert_attempts('batch.retry', 0)."
        ),
    ),
    "assert_gave_up": (
        ("refuse", "submit", 1, "submit"),
        ("batch.submit", 2),
        {},
        (
            "batch.submit was to be given up after 2 attempts; its last call ended\n"
            "well after 2: 503, 202 queued.\n"
            "\n"
            "A client that never gives up hangs on an outage; one that gives up early\n"
            "fails on a hiccup.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   503\n"
            "          scripted http_error(503); the service never saw it\n"
            ">      #2     1.00   +1.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, correct the client's limit, or script as long an outage as\n"
            "the client can meet: spidra_mock.batch.submit.always(503)."
        ),
    ),
    "assert_backed_off": (
        ("refuse", "submit", 1, "submit"),
        ("batch.submit", [2.0]),
        {"jitter": 0.5},
        (
            "The client was to wait [2] s (each within 0.5 s) between the attempts of\n"
            "batch.submit, and waited [1] s.\n"
            "\n"
            "Backing off is what lets a service recover; too short adds to its load,\n"
            "too long wastes time.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   503\n"
            "          scripted http_error(503); the service never saw it\n"
            ">      #2     1.00   +1.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, correct the client's backoff, or the waits here; allow for\n"
            "jitter= seconds."
        ),
    ),
    "assert_backed_off, nothing retried": (
        ("submit",),
        ("batch.submit", [1.0]),
        {},
        (
            "The client was to wait [1] s between the attempts of batch.submit, and\n"
            "never sent a request twice.\n"
            "\n"
            "Backing off is what lets a service recover; too short adds to its load,\n"
            "too long wastes time.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "\n"
            "To fix it, correct the client's backoff, or the waits here; allow for\n"
            "jitter= seconds."
        ),
    ),
    "assert_respected_retry_after": (
        ("busy", "submit", 5, "submit"),
        (),
        {},
        (
            "submit 2 URLs (#2) came back after 5.00 s, and #1 had asked for 20 s.\n"
            "\n"
            "Coming back early adds to the service's load and is likely to be refused\n"
            "again.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   503 SERVICE_BUSY\n"
            "          scripted service_busy(retry_after=20); the service never saw\n"
            "          it\n"
            ">      #2     5.00   +5.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, wait for Retry-After or the body's retry_after. To allow a\n"
            "shorter wait, say what is enough: assert_respected_retry_after(cap=…) in\n"
            "seconds."
        ),
    ),
    "assert_respected_retry_after, nobody asked": (
        ("submit",),
        (),
        {},
        (
            "No reply asked the client to wait.\n"
            "\n"
            "Without a Retry-After the test shows nothing about respecting it.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "\n"
            "To fix it, script one:\n"
            "spidra_mock.batch.submit.script(service_busy(retry_after=60))."
        ),
    ),
    "assert_only_transient_retried": (
        ("invalid", "submit", 1, "submit"),
        (),
        {},
        (
            "submit 2 URLs was sent again after 422 (#1).\n"
            "\n"
            "Nothing in between gave reason to hope for another answer: such requests\n"
            "use up the quota, and a loop of them may never end.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   422\n"
            "          scripted http_error(422); the service never saw it\n"
            ">      #2     1.00   +1.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, retry 429, 502 and 503, and looks after 504, and report\n"
            "everything else."
        ),
    ),
    "assert_submitted_once": (
        ("lose", "submit", 1, "submit"),
        (),
        {},
        (
            "The service was to accept each URL once, and accepted https://a.example/\n"
            "2 times, and 1 more.\n"
            "\n"
            "Every accepted submit is scraped and billed, also one whose reply the\n"
            "client never saw.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   ReadTimeout\n"
            "          scripted reply_lost(); the service answered 202 queued\n"
            ">      #2     6.00   +1.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, look for the batch in GET /batch/scrape before a submit is\n"
            "sent again. To allow several, count them:\n"
            "spidra_mock.exchanges.calls('batch.submit')."
        ),
    ),
    "assert_submitted_once, of others": (
        ("submit_one",),
        (URLS,),
        {},
        (
            "The service was to accept each URL once, and accepted https://b.example/\n"
            "0 times.\n"
            "\n"
            "Every accepted submit is scraped and billed, also one whose reply the\n"
            "client never saw.\n"
            "\n"
            f"{HEADING}"
            "       #1     0.00               submit 1 URL    202 queued\n"
            "\n"
            "To fix it, look for the batch in GET /batch/scrape before a submit is\n"
            "sent again. To allow several, count them:\n"
            "spidra_mock.exchanges.calls('batch.submit')."
        ),
    ),
    "assert_batch_retried": (
        ("submit", "get", 3, "get", "retry"),
        (ID,),
        {},
        (
            "Batch 00000001-0000-4000-8000-000000000000 was to be retried 1 time, and\n"
            "was 0 (1 more were not accepted).\n"
            "\n"
            "Too few retries lose pages that would have healed; each one too many\n"
            "reserves credits again.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "       #2     0.00               get 00000001    200 running 0/2\n"
            "       #3     3.00   +3.00 own   get 00000001    200 completed 2/2\n"
            ">      #4     3.00               retry 00000001  400 NO_FAILED_ITEMS\n"
            "\n"
            "To fix it, correct the client's rounds (N rounds are N-1 retries), or\n"
            "the number here."
        ),
    ),
    "assert_batch_not_retried": (
        ("fail_one", "submit", "get", 3, "get", "retry"),
        (ID,),
        {},
        (
            "Batch 00000001-0000-4000-8000-000000000000 was not to be retried, and 1\n"
            "retry was sent.\n"
            "\n"
            "A retry reserves credits again, and the service refuses it when nothing\n"
            "has failed.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "       #2     0.00               get 00000001    200 running 0/2\n"
            "       #3     3.00   +3.00 own   get 00000001    200 completed, 1 failed\n"
            ">      #4     3.00               retry 00000001  202 1 queued\n"
            "\n"
            "To fix it, look at status and failedCount first. To allow it:\n"
            "assert_batch_retried(batch, 1)."
        ),
    ),
    "assert_only_failed_items_retried": (
        ("fail_one", "submit", "get", 3, "get", "submit_one"),
        (ID,),
        {},
        (
            "Only the failed items of batch 00000001-0000-4000-8000-000000000000 were\n"
            "to be scraped again, and URLs of it were submitted as a new batch.\n"
            "\n"
            "POST …/retry scrapes and bills just the failed items; a new batch pays\n"
            "for every URL in it.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "       #2     0.00               get 00000001    200 running 0/2\n"
            "       #3     3.00   +3.00 own   get 00000001    200 completed, 1 failed\n"
            ">      #4     3.00   +3.00 own   submit 1 URL    202 queued\n"
            "\n"
            "To fix it, send POST /batch/scrape/{batchId}/retry and poll the same id."
        ),
    ),
    "assert_only_failed_items_retried, none": (
        ("submit",),
        (ID,),
        {},
        (
            "Only the failed items of batch 00000001-0000-4000-8000-000000000000 were\n"
            "to be scraped again, and no retry of it was accepted.\n"
            "\n"
            "POST …/retry scrapes and bills just the failed items; a new batch pays\n"
            "for every URL in it.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "\n"
            "To fix it, send POST /batch/scrape/{batchId}/retry and poll the same id."
        ),
    ),
    "assert_polled_until_done": (
        ("submit", "get"),
        (ID,),
        {},
        (
            "Batch 00000001-0000-4000-8000-000000000000 was to be polled until it was\n"
            "done, and the client saw it last running.\n"
            "\n"
            "Its pages are scraped and billed, and nobody fetches them.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            ">      #2     0.00               get 00000001    200 running 0/2\n"
            "\n"
            "To fix it, poll until the status is completed, failed or cancelled."
        ),
    ),
    "assert_polled_until_done, never": (
        ("submit",),
        (ID,),
        {},
        (
            "Batch 00000001-0000-4000-8000-000000000000 was to be polled until it was\n"
            "done, and the client never looked at it.\n"
            "\n"
            "Its pages are scraped and billed, and nobody fetches them.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, poll until the status is completed, failed or cancelled."
        ),
    ),
    "assert_polled_until_done, after the retry": (
        ("fail_one", "submit", "get", 3, "get", "retry"),
        (ID,),
        {},
        (
            "Batch 00000001-0000-4000-8000-000000000000 was to be polled until it was\n"
            "done, and the client saw it last queued for a retry.\n"
            "\n"
            "Its pages are scraped and billed, and nobody fetches them.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "       #2     0.00               get 00000001    200 running 0/2\n"
            "       #3     3.00   +3.00 own   get 00000001    200 completed, 1 failed\n"
            ">      #4     3.00               retry 00000001  202 1 queued\n"
            "\n"
            "To fix it, poll until the status is completed, failed or cancelled."
        ),
    ),
    "assert_poll_interval": (
        ("slow", "submit", "get", 1, "get"),
        (ID, 2, 5),
        {},
        (
            "The client was to wait at least 2 s and at most 5 s between two looks at\n"
            "batch 00000001-0000-4000-8000-000000000000, and one wait was 1 s.\n"
            "\n"
            "Short intervals use up the quota of 300 requests in 15 minutes, long\n"
            "ones delay the results.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "       #2     0.00               get 00000001    200 running 0/2\n"
            ">      #3     1.00   +1.00 own   get 00000001    200 running 0/2\n"
            "\n"
            "To fix it, set the client's poll interval; Spidra recommends 2 to 5\n"
            "seconds."
        ),
    ),
    "assert_poll_interval, one look": (
        ("submit", "get"),
        (ID, 2),
        {},
        (
            "The client was to wait at least 2 s between two looks at batch\n"
            "00000001-0000-4000-8000-000000000000, and there were no two looks at it\n"
            "while it ran.\n"
            "\n"
            "Short intervals use up the quota of 300 requests in 15 minutes, long\n"
            "ones delay the results.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "       #2     0.00               get 00000001    200 running 0/2\n"
            "\n"
            "To fix it, set the client's poll interval; Spidra recommends 2 to 5\n"
            "seconds."
        ),
    ),
    "assert_credits": (
        ("submit",),
        (),
        {"reserved": 1, "charged": 0},
        (
            "The credits were to be 1 reserved, 0 charged, and are 2 reserved, 2\n"
            "charged.\n"
            "\n"
            "Credits are money: each accepted submit and retry reserves them, each\n"
            "completed item is charged.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   202 queued\n"
            "\n"
            "To fix it, look at the marked requests; a URL costs 1 credit unless its\n"
            "outcome says completed(credits=…)."
        ),
    ),
    "assert_within": (
        ("submit", "get", 3, "get"),
        (),
        {"seconds": 2, "requests": 2, "credits": 1},
        (
            "The test was to stay within its budget, and took 3 s of 2, 3 requests of\n"
            "2, 2 credits of 1.\n"
            "\n"
            "What a run costs in time, quota and credits grows unnoticed, a retry at\n"
            "a time.\n"
            "\n"
            f"{HEADING}"
            f"{LINE['submitted']}"
            "       #2     0.00               get 00000001    200 running 0/2\n"
            "       #3     3.00   +3.00 own   get 00000001    200 completed 2/2\n"
            "\n"
            "To fix it, look where it went; to allow it, raise the number here."
        ),
    ),
    "assert_rules": (
        ("invalid", "submit", 1, "submit"),
        (),
        {},
        (
            "permanent-error-resent: submit 2 URLs was sent again (#2) after 422\n"
            "(#1).\n"
            "\n"
            "  Nothing that the client saw in between gave reason to hope for another\n"
            "  answer: such requests use up the quota, and a loop of them may never\n"
            "  end.\n"
            "  To fix it, stop on 400, 401, 402, 403, 404, 409 and 422 and report the\n"
            "  error; retry 429, 502 and 503, and looks after 504.\n"
            "\n"
            f"{HEADING}"
            ">      #1     0.00               submit 2 URLs   422\n"
            "          scripted http_error(422); the service never saw it\n"
            ">      #2     1.00   +1.00 own   submit 2 URLs   202 queued\n"
            "\n"
            "To allow it, mark the test\n"
            '@pytest.mark.spidra(allow=["permanent-error-resent"]).'
        ),
    ),
}


def failure(mock, name, args, settings):
    """Return the message of an assertion that fails."""
    with pytest.raises(AssertionError) as caught:
        getattr(mock, name)(*args, **settings)
    return str(caught.value)


@pytest.mark.parametrize(("words", "args", "settings", "message"), FAILS.values(), ids=FAILS)
def test_it_fails_with_claim_reason_timeline_and_a_way_out(
    doing, spidra_mock, request, words, args, settings, message
):
    name = request.node.callspec.id.partition(",")[0]
    doing(*words)
    assert failure(spidra_mock, name, args, settings) == message


@pytest.mark.parametrize("name", sorted({name.partition(",")[0] for name in FAILS}))
def test_every_assertion_has_a_case_that_holds(name):
    assert name in {held.partition(",")[0] for held in HOLDS}


def test_every_assertion_has_a_case_that_fails(spidra_mock):
    failing = {name.partition(",")[0] for name in FAILS}
    assert failing == {name for name in dir(spidra_mock) if name.startswith("assert_")}


@pytest.mark.parametrize("case", FAILS)
def test_no_line_is_wider_than_eighty_columns_with_pytest_s_margin(case):
    """In a failing test each line stands eight columns further right."""
    *_, message = FAILS[case]
    assert max(map(len, message.split("\n"))) + len("E       ") <= 80


def test_a_look_that_failed_ends_no_interval(doing, spidra_mock):
    """The wait counts from what showed the batch running."""
    doing("slow", "submit", "get", 3, "refuse_gets", "get", 1, "get", 3, "get")
    spidra_mock.assert_poll_interval(ID, 3, 3)


def test_a_batch_of_the_factory_does_as_well_as_an_id(spidra_batch_factory, spidra_mock, client):
    batch = spidra_batch_factory(urls=3, failed=1)
    client.post(f"/batch/scrape/{batch.id}/retry")
    spidra_mock.assert_batch_retried(batch)
    spidra_mock.assert_only_failed_items_retried(batch)


@pytest.mark.parametrize(
    ("name", "second"), [("assert_attempts", 1), ("assert_gave_up", 1), ("assert_backed_off", [1])]
)
def test_an_endpoint_that_does_not_exist_is_refused(spidra_mock, name, second):
    with pytest.raises(ValueError, match=r"'batch.sumbit' is no endpoint. Did you mean 'batch.submit'"):
        getattr(spidra_mock, name)("batch.sumbit", second)


@pytest.mark.parametrize(
    "claim",
    [
        lambda mock: mock.assert_attempts("batch.submit", "2"),
        lambda mock: mock.assert_submitted_once("https://a.example/"),
        lambda mock: mock.assert_backed_off("batch.submit", 1.0),
        lambda mock: mock.assert_backed_off("batch.submit", ["1"]),
        lambda mock: mock.assert_respected_retry_after("30"),
        lambda mock: mock.assert_within(seconds="3"),
    ],
)
def test_an_argument_of_another_type_is_a_type_error(spidra_mock, submit, claim):
    submit()
    with pytest.raises(TypeError):
        claim(spidra_mock)


@pytest.mark.parametrize(
    "name", ["assert_batch_retried", "assert_batch_not_retried", "assert_polled_until_done"]
)
def test_a_batch_that_this_test_never_had_is_an_error(spidra_mock, submit, name):
    submit()
    with pytest.raises(ValueError, match="this test never had a batch 'nonsense'"):
        getattr(spidra_mock, name)("nonsense")


@pytest.mark.parametrize(
    ("assign", "told"),
    [
        (lambda mock: setattr(mock.batch.submit, "always", 503), r"submit\.always is called, not assigned"),
        (lambda mock: setattr(mock.batch, "outcomes", {}), r"batch\.outcomes is called, not assigned"),
        (lambda mock: setattr(mock, "rules", "off"), r"no attribute 'rules' to set.*rules=\"off\""),
        (lambda mock: setattr(mock, "api_key", "mine"), r"api_key cannot be set"),
        (
            lambda mock: setattr(mock.batch, "submitt", 1),
            r"no attribute 'submitt' to set. Did you mean 'submit'",
        ),
    ],
)
def test_an_assignment_is_an_error_that_names_the_call(spidra_mock, assign, told):
    with pytest.raises(AttributeError, match=told):
        assign(spidra_mock)


def test_a_call_that_needed_fewer_retries_matches_the_beginning(doing, spidra_mock):
    doing("refuse", "submit", 1, "submit")
    spidra_mock.assert_backed_off("batch.submit", [1, 2, 4])
    spidra_mock.assert_backed_off("batch.submit", [(0.5, 1.5), (1, 3)])
    spidra_mock.assert_backed_off("batch.submit", [1.2, 2], jitter=[0.3, 0])
    with pytest.raises(AssertionError, match=r"was to wait \[2\] s"):
        spidra_mock.assert_backed_off("batch.submit", [2])


def test_credits_without_a_claim_are_refused(spidra_mock):
    with pytest.raises(ValueError, match="takes at least one of reserved, charged and refunded"):
        spidra_mock.assert_credits()


async def test_two_requests_under_way_at_once_are_no_retry(spidra_mock):
    """The second was sent before the client saw what became of the first."""
    import asyncio  # noqa: PLC0415 - here alone

    spidra_mock.batch.submit.script(*[http_error(503, retry_after=5, after=1)] * 2)
    headers = {"x-api-key": "k"}
    async with httpx.AsyncClient(base_url=spidra_mock.base_url, headers=headers) as client:
        await asyncio.gather(*(client.post("/batch/scrape", json={"urls": URLS}) for _ in range(2)))
    spidra_mock.assert_not_retried("batch.submit")
    spidra_mock.assert_respected_retry_after()
