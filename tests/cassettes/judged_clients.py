"""Clients whose verdicts are to be the same live and replayed: most are those that the rules are tested with.

A row says what fails and where. What the server does is in the cassette: `submits` and `looks` are its refusals,
`items` how URLs end there. What is scripted stays out of it, and is laid over both the recording and its replay.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import spidra

sys.path.append(
    str(Path(__file__).parents[1] / "verdicts" / "rules")
)  # another folder of tests, which may not be run with this

import written_clients as clients
from written_clients import SUBMIT, TERMINAL, in_async, submitted, sync, waited_for

from pytest_spidra import reply_lost, request_lost, service_busy


@dataclass
class Row:
    """A client, what it meets, and the rules that accuse it."""

    client: object
    accused: tuple[str, ...] = ()
    submits: list = field(default_factory=list)
    looks: list = field(default_factory=list)
    items: str = "completed()"
    scripted: dict = field(default_factory=dict)


def sdk(api, **settings):
    return spidra.Spidra(api_key=api.api_key, api_url=api.base_url, **settings)


def with_the_sdk(api, urls):
    """It waits itself, then looks for the batch in the list and retries."""
    client = sdk(api)
    batch = client.batch_scrape(urls, poll_interval=1)
    if batch.failed_count:
        job = next(
            job for job in client.list_batch_scrapes().jobs if job.status == "completed" and job.failed_count
        )
        client.retry_batch_scrape(job.uuid)
        list(client.watch_batch(job.uuid, poll_interval=1))


async def with_the_async_sdk(api, urls):
    async with spidra.AsyncSpidra(api_key=api.api_key, api_url=api.base_url) as client:
        await client.batch_scrape(urls, poll_interval=1)


def until_the_sdk_has_no_more_time(api, urls):
    with contextlib.suppress(spidra.SpidraTimeoutError):
        sdk(api).batch_scrape(urls, poll_interval=0.4, timeout=1.5)


def until_its_deadline(api, urls):
    """How many looks there is time for depends on how long replies take."""
    with sync(api) as client:
        batch_id = submitted(client, urls)
        deadline = time.monotonic() + 0.6
        while time.monotonic() < deadline:
            client.get(f"{SUBMIT}/{batch_id}")
            time.sleep(0.1)


async def until_its_deadline_async(api, urls):
    async with in_async(api) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.85):
                while True:
                    await client.get(f"{SUBMIT}/{batch_id}")
                    await asyncio.sleep(0.3)


def sends_it_twice(api, urls):
    """The fate of the first is not known, and it is sent again after a second."""
    with sync(api) as client:
        for _ in range(2):
            try:
                return submitted(client, urls)
            except httpx.TransportError:
                time.sleep(1)
    return None


def comes_back_at_the_date(api, urls):
    """Retry-After as a date, compared with the wall clock: a recording from last year asks for the same wait."""
    with sync(api) as client:
        while (reply := client.post(SUBMIT, json={"urls": urls})).status_code == 503:
            asked = parsedate_to_datetime(reply.headers["retry-after"]).timestamp()
            time.sleep(max(asked - time.time(), 0))


def comes_back_early(api, urls):
    with sync(api) as client:
        while client.post(SUBMIT, json={"urls": urls}).status_code in {429, 503}:
            time.sleep(0.25)


def comes_back_as_asked(api, urls):
    with sync(api) as client:
        while (reply := client.post(SUBMIT, json={"urls": urls})).status_code in {429, 503}:
            time.sleep(float(reply.headers["retry-after"]))


def is_not_let_in(api, urls):
    with sync(api) as client:
        for _ in range(3):
            client.post(SUBMIT, json={"urls": urls})
            time.sleep(0.2)


def looks_on_after_the_end(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        waited_for(client, batch_id, 1.0)
        for _ in range(3):
            client.get(f"{SUBMIT}/{batch_id}")


def retries_nothing(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        waited_for(client, batch_id, 1.0)
        client.post(f"{SUBMIT}/{batch_id}/retry")


def retries_too_early(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        client.get(f"{SUBMIT}/{batch_id}")
        client.post(f"{SUBMIT}/{batch_id}/retry")


def pays_again(api, urls):
    with sync(api) as client:
        for _ in range(2):
            waited_for(client, submitted(client, urls), 1.0)


def starts_over(api, urls):
    with sync(api) as client:
        for _ in range(2):
            batch_id = submitted(client, urls)
            client.get(f"{SUBMIT}/{batch_id}")


async def two_at_once(api, urls):
    """Two batches in one loop, each with a careless look at the end."""
    async with in_async(api) as client:

        async def one(url):
            batch_id = (await client.post(SUBMIT, json={"urls": [url]})).json()["batchId"]
            while (await client.get(f"{SUBMIT}/{batch_id}")).json()["status"] not in TERMINAL:
                await asyncio.sleep(0.4)

        await asyncio.gather(*map(one, urls))


def documented_loop(api, urls):
    """Of the documentation, with a shorter pause."""
    with sync(api, timeout=None) as client:
        batch_id = submitted(client, urls)
        for attempt in range(3):
            batch = waited_for(client, batch_id, 1.0)
            if not batch["failedCount"]:
                break
            if attempt < 2:
                client.post(f"{SUBMIT}/{batch_id}/retry")


def refused(status, code=None, **headers):
    """Return a refusal of the server's; ``retry_in=2`` is a Retry-After with the date of then."""
    body = {"status": "error", "message": "No.", **({"code": code} if code else {})}
    return [status, {name.replace("_", "-"): str(value) for name, value in headers.items()}, body]


BUSY = refused(503, "SERVICE_BUSY", retry_after=2)

ROWS = {
    "documented loop": Row(documented_loop, items="[failed(), completed()]"),
    "SDK": Row(with_the_sdk, items="[failed(), completed()]", submits=[refused(503)]),
    "SDK, async": Row(with_the_async_sdk, looks=[refused(503)]),
    "SDK, its deadline": Row(until_the_sdk_has_no_more_time, ("busy-polling",), items="stuck()"),
    "a deadline": Row(until_its_deadline, ("busy-polling",), items="stuck()"),
    "a deadline, async": Row(until_its_deadline_async, ("busy-polling",), items="stuck()"),
    "two at once": Row(two_at_once, ("busy-polling",), items="completed(after_polls=2)"),
    "careful": Row(clients.careful, items="[failed(), completed()]"),
    "a lost submit sent again": Row(
        sends_it_twice, ("double-submission",), scripted={"submit": [reply_lost(after=0.1)]}
    ),
    "a submit of unknown fate sent again": Row(
        sends_it_twice, ("blind-resend",), scripted={"submit": [request_lost("ReadTimeout", after=0.1)]}
    ),
    "looks in the list": Row(clients.looks_in_the_list_first, scripted={"submit": [reply_lost(after=0.1)]}),
    "Retry-After ignored": Row(comes_back_early, ("retry-after-ignored",), submits=[BUSY]),
    "a date ignored": Row(comes_back_early, ("retry-after-ignored",), submits=[refused(503, retry_in=3)]),
    "Retry-After respected": Row(comes_back_as_asked, submits=[refused(429, retry_after=1)]),
    "a date respected": Row(comes_back_at_the_date, submits=[refused(503, retry_in=2)]),
    "a scripted Retry-After ignored": Row(
        comes_back_early, ("retry-after-ignored",), scripted={"submit": [service_busy(retry_after=2)]}
    ),
    "a refusal sent again": Row(is_not_let_in, ("permanent-error-resent",), submits=[refused(422)] * 3),
    "hammers": Row(clients.hammers, ("no-backoff",), submits=[refused(503)] * 4),
    "looks on after the end": Row(looks_on_after_the_end, ("poll-after-terminal",)),
    "polls at once": Row(
        clients.polls_five_times_a_second, ("busy-polling",), items="completed(after_polls=3)"
    ),
    "polls without a pause": Row(
        clients.polls_without_a_pause, ("busy-polling",), items="completed(after_polls=3)"
    ),
    "nothing to retry": Row(retries_nothing, ("nothing-to-retry",)),
    "retries too early": Row(
        retries_too_early, ("retry-before-terminal",), items="[failed(after_polls=0), completed()]"
    ),
    "retries what it cancelled": Row(clients.retries_what_it_cancelled, ("retry-of-cancelled",)),
    "pays again": Row(pays_again, ("paid-again",)),
    "starts over": Row(starts_over, ("resubmitted-unfinished",)),
    "no key": Row(clients.forgets_the_key, ("missing-key",)),
    "the key in the URL": Row(clients.sends_the_key_twice, ("key-in-url",)),
}


def host(name):
    return "".join(sign if sign.isalnum() else "-" for sign in name.lower()) + ".example"


def urls_of(name):
    return [f"https://{host(name)}/{number}" for number in (1, 2)]


OUTCOMES = "\n".join(f"batch.outcomes({{{urls_of(name)[0]!r}: {row.items}}})" for name, row in ROWS.items())
PLANS = {host(name): {"submit": row.submits, "get": row.looks} for name, row in ROWS.items()}

# The server tells rows apart by the hosts in their URLs, so that all of them can be recorded at the same time.
SERVER = f"""
import json, time
from email.utils import formatdate
import httpx
plans = {PLANS!r}
owners = {{}}

def refusal(host, endpoint):
    steps = plans.get(host, {{}}).get(endpoint)
    if steps:
        status, headers, body = steps.pop(0)
        if "retry-in" in headers:
            headers = {{"retry-after": formatdate(time.time() + float(headers["retry-in"]), usegmt=True)}}
        return httpx.Response(status, headers=headers, json=body)

def submit(request, **_):
    host = httpx.URL(json.loads(request.content)["urls"][0]).host
    answer = refusal(host, "submit") or healthy["submit"](request)
    owners[json.loads(answer.content).get("batchId")] = host
    return answer

def get(request, **_):
    return refusal(owners.get(request.url.path.rpartition("/")[2]), "get") or healthy["get"](request)

router = spidra_server.router
healthy = {{name: router["batch." + name].side_effect for name in ("submit", "get")}}
router["batch.submit"].mock(side_effect=submit)
router["batch.get"].mock(side_effect=get)
batch.submit.always(ok(after=0.03))
batch.get.always(ok(after=0.04))
{OUTCOMES}
"""
