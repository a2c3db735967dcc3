"""The clients that the rules judge.

Broken ones and their careful twins as users write them, a careful client, the documented loop and the official
SDK. Each takes the API of the test and the URLs; most return items.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import httpx
import spidra
from httpx_retries import Retry, RetryTransport

TERMINAL = {"completed", "failed", "cancelled"}
SUBMIT = "/batch/scrape"
ROUNDS = 5  # what "for ever" amounts to here

GIVING_UP = (httpx.HTTPError, spidra.SpidraError, json.JSONDecodeError)
"""What ends a client that meets a failure it does not retry."""


def sync(api, **settings):
    return httpx.Client(base_url=api.base_url, headers={"x-api-key": api.api_key}, **settings)


def in_async(api, **settings):
    headers = {"authorization": f"Bearer {api.api_key}"}
    return httpx.AsyncClient(base_url=api.base_url, headers=headers, **settings)


def sdk(api, **settings):
    return spidra.Spidra(api_key=api.api_key, **settings)


def submitted(client, urls, **options):
    return client.post(SUBMIT, json={"urls": urls, **options}).raise_for_status().json()["batchId"]


def waited_for(client, batch_id, seconds=3.0):
    while True:
        batch = client.get(f"{SUBMIT}/{batch_id}").raise_for_status().json()
        if batch["status"] in TERMINAL:
            return batch
        time.sleep(seconds)


# -- double-submission, blind-resend -------------------------------------------------------------------------


def resends_a_lost_submit(api, urls):
    """A loop around the submit that takes every broken connection for a refusal."""
    with sync(api) as client:
        for attempt in range(3):
            try:
                return submitted(client, urls)
            except httpx.TransportError:
                time.sleep(2**attempt)
    return None


def looks_in_the_list_first(api, urls):
    with sync(api) as client:
        try:
            return submitted(client, urls)
        except httpx.TransportError:
            time.sleep(1)
            jobs = client.get(SUBMIT).raise_for_status().json()["jobs"]
            mine = [job["uuid"] for job in jobs if job["totalUrls"] == len(urls)]
            return mine[0] if mine else submitted(client, urls)


async def resends_a_slow_submit(api, urls):
    """asyncio's own deadline around the submit, shorter than the service takes."""
    async with in_async(api) as client:
        for _ in range(2):
            try:
                async with asyncio.timeout(5):
                    await client.post(SUBMIT, json={"urls": urls})
                    return
            except TimeoutError:
                continue


async def waits_for_a_slow_submit(api, urls):
    async with in_async(api, timeout=60) as client:
        await client.post(SUBMIT, json={"urls": urls})


def retries_every_post_by_transport(api, urls):
    """A retry transport that was told to repeat POST, and repeats it after 504."""
    retry = Retry(
        total=3, allowed_methods=["GET", "POST"], status_forcelist=[502, 503, 504], backoff_factor=1
    )
    with sync(api, transport=RetryTransport(retry=retry)) as client:
        submitted(client, urls)


def retries_reads_by_transport(api, urls):
    """The same transport with its own default: POST is not repeated; the list tells what became of it."""
    with sync(api, transport=RetryTransport(retry=Retry(total=3, backoff_factor=1))) as client:
        if client.post(SUBMIT, json={"urls": urls}).status_code == 504:
            assert client.get(SUBMIT).json()["pagination"]["total"] == 1


def resends_what_it_could_not_read(api, urls):
    """A reply that came and cannot be read is taken for no reply."""
    with sync(api) as client:
        for _ in range(2):
            try:
                return submitted(client, urls)
            except ValueError:
                time.sleep(1)
    return None


def reports_what_it_could_not_read(api, urls):
    with sync(api) as client:
        try:
            return submitted(client, urls)
        except ValueError:
            return None


def resends_a_lost_retry(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        waited_for(client, batch_id)
        for _ in range(3):
            try:
                return client.post(f"{SUBMIT}/{batch_id}/retry").status_code
            except httpx.TransportError:
                time.sleep(2)
    return None


def looks_after_a_lost_retry(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        batch = waited_for(client, batch_id)
        while batch["failedCount"]:
            try:
                client.post(f"{SUBMIT}/{batch_id}/retry")
            except httpx.TransportError:
                time.sleep(2)
            batch = waited_for(client, batch_id)


def sends_the_sdk_s_lost_submit_again(api, urls):
    """The SDK raises after a lost reply, and the caller just calls it again."""
    try:
        sdk(api).batch_scrape(urls)
    except httpx.TransportError:
        sdk(api).batch_scrape(urls)


def asks_the_sdk_for_the_list(api, urls):
    client = sdk(api)
    try:
        client.batch_scrape(urls)
    except httpx.TransportError:
        (job,) = client.list_batch_scrapes().jobs
        list(client.watch_batch(job.uuid))


# -- paid-again, resubmitted-unfinished ----------------------------------------------------------------------


def submits_everything_again(api, urls):
    """Some pages failed, so the whole list is scraped anew."""
    with sync(api) as client:
        for _ in range(2):
            batch = waited_for(client, submitted(client, urls))
            if not batch["failedCount"]:
                return


def submits_what_failed(api, urls):
    """No retry, yet nothing is bought twice: what failed costs nothing."""
    with sync(api) as client:
        for _ in range(3):
            batch = waited_for(client, submitted(client, urls))
            urls = [item["url"] for item in batch["items"] if item["status"] == "failed"]


def lets_the_sdk_submit_everything_again(api, urls):
    for _ in range(3):
        if not sdk(api).batch_scrape(urls).failed_count:
            return


def lets_the_sdk_retry(api, urls):
    client = sdk(api)
    batch = client.batch_scrape(urls)
    queued = client.list_batch_scrapes().jobs[0].uuid
    while batch.failed_count:
        client.retry_batch_scrape(queued)
        list(client.watch_batch(queued))
        batch = client.get_batch_scrape(queued)


def starts_over_after_the_sdk_s_timeout(api, urls):
    """The SDK's own words at this moment: the job is still running, check it again or cancel it."""
    for _ in range(2):
        try:
            return sdk(api).batch_scrape(urls, timeout=12)
        except spidra.SpidraTimeoutError:
            continue
    return None


def cancels_after_the_sdk_s_timeout(api, urls):
    client = sdk(api)
    queued = client.start_batch_scrape(urls)
    try:
        list(client.watch_batch(queued.batch_id, timeout=10))
    except spidra.SpidraTimeoutError:
        client.cancel_batch_scrape(queued.batch_id)
        client.start_batch_scrape(urls)


async def starts_over_when_it_takes_long(api, urls):
    async with in_async(api) as client:
        for _ in range(2):
            batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
            for _ in range(3):
                batch = (await client.get(f"{SUBMIT}/{batch_id}")).json()
                if batch["status"] in TERMINAL:
                    return
                await asyncio.sleep(3)


async def goes_on_when_it_takes_long(api, urls):
    async with in_async(api) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
        while (await client.get(f"{SUBMIT}/{batch_id}")).json()["status"] not in TERMINAL:
            await asyncio.sleep(3)


# -- retry-before-terminal, nothing-to-retry, retry-of-cancelled ----------------------------------------------


def retries_as_soon_as_one_failed(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        while True:
            batch = client.get(f"{SUBMIT}/{batch_id}").json()
            if batch["failedCount"]:
                return client.post(f"{SUBMIT}/{batch_id}/retry")
            time.sleep(3)


def retries_at_the_end(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        for _ in range(3):
            if not waited_for(client, batch_id)["failedCount"]:
                return
            client.post(f"{SUBMIT}/{batch_id}/retry")


def lets_the_sdk_retry_at_once(api, urls):
    client = sdk(api)
    queued = client.start_batch_scrape(urls)
    time.sleep(5)
    if client.get_batch_scrape(queued.batch_id).failed_count:
        client.retry_batch_scrape(queued.batch_id)


async def always_retries_once(api, urls):
    """A second round for good measure."""
    async with in_async(api) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
        while (await client.get(f"{SUBMIT}/{batch_id}")).json()["status"] not in TERMINAL:
            await asyncio.sleep(3)
        await client.post(f"{SUBMIT}/{batch_id}/retry")


def lets_the_sdk_always_retry(api, urls):
    client = sdk(api)
    queued = client.start_batch_scrape(urls)
    list(client.watch_batch(queued.batch_id))
    with contextlib.suppress(spidra.SpidraError):
        client.retry_batch_scrape(queued.batch_id)


def retries_whatever_is_not_completed(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        if waited_for(client, batch_id)["status"] != "completed":
            client.post(f"{SUBMIT}/{batch_id}/retry")


def retries_what_it_cancelled(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        client.delete(f"{SUBMIT}/{batch_id}").raise_for_status()
        client.post(f"{SUBMIT}/{batch_id}/retry")


def submits_anew_after_a_cancel(api, urls):
    with sync(api) as client:
        client.delete(f"{SUBMIT}/{submitted(client, urls)}").raise_for_status()
        waited_for(client, submitted(client, urls))


# -- retry-after-ignored, permanent-error-resent, no-backoff --------------------------------------------------


def backs_off_in_its_own_time(api, urls):
    with sync(api) as client:
        for attempt in range(8):
            if client.post(SUBMIT, json={"urls": urls}).status_code not in {429, 503}:
                return
            time.sleep(2**attempt)


def waits_as_it_is_told(api, urls):
    with sync(api) as client:
        for attempt in range(5):
            reply = client.post(SUBMIT, json={"urls": urls})
            if reply.status_code not in {429, 503}:
                return
            time.sleep(float(reply.headers.get("retry-after", 2**attempt)))


def calls_the_sdk_again_when_limited(api, urls):
    while True:
        try:
            return sdk(api).start_batch_scrape(urls)
        except spidra.SpidraRateLimitError:
            time.sleep(1)


def waits_with_the_sdk_when_limited(api, urls):
    while True:
        try:
            return sdk(api).start_batch_scrape(urls)
        except spidra.SpidraRateLimitError as error:
            time.sleep(error.retry_after)


async def polls_on_while_limited(api, urls):
    async with in_async(api) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
        while (await client.get(f"{SUBMIT}/{batch_id}")).json()["status"] not in TERMINAL:
            await asyncio.sleep(3)


async def rests_while_limited(api, urls):
    async with in_async(api) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
        while True:
            reply = await client.get(f"{SUBMIT}/{batch_id}")
            if reply.json()["status"] in TERMINAL:
                return
            await asyncio.sleep(float(reply.headers.get("retry-after", 3)))


def retries_every_error(api, urls):
    with sync(api) as client:
        for attempt in range(3):
            if client.post(SUBMIT, json={"urls": urls}).is_success:
                return
            time.sleep(2**attempt)


def stops_at_a_refusal(api, urls):
    with sync(api) as client:
        for attempt in range(4):
            if client.post(SUBMIT, json={"urls": urls}).status_code not in {429, 502, 503}:
                return
            time.sleep(2**attempt)


async def asks_for_a_batch_that_is_not_there(api, urls):
    async with in_async(api) as client:
        for _ in range(ROUNDS):
            if (await client.get(f"{SUBMIT}/00000000-0000-4000-8000-000000000000")).is_success:
                return
            await asyncio.sleep(3)


async def asks_once_for_a_batch_that_is_not_there(api, urls):
    async with in_async(api) as client:
        await client.get(f"{SUBMIT}/00000000-0000-4000-8000-000000000000")


def polls_undefined(api, urls):
    """The documented loop after a refused submit: there is no id, and the word "error" ends no batch."""
    with sync(api) as client:
        batch_id = client.post(SUBMIT, json={"urls": urls}).json().get("batchId", "undefined")
        for _ in range(ROUNDS):
            if client.get(f"{SUBMIT}/{batch_id}").json()["status"] in TERMINAL:
                return
            time.sleep(3)


def hammers(api, urls):
    with sync(api) as client:
        while client.post(SUBMIT, json={"urls": urls}).status_code >= 500:
            pass


def lets_the_sdk_hammer(api, urls):
    sdk(api, backoff_factor=0).batch_scrape(urls)


def lets_the_sdk_back_off(api, urls):
    sdk(api).batch_scrape(urls)


async def hammers_a_dead_connection(api, urls):
    async with in_async(api) as client:
        for _ in range(ROUNDS):
            try:
                await client.get(SUBMIT)
            except httpx.ConnectError:
                continue
            return


async def backs_off_from_a_dead_connection(api, urls):
    async with in_async(api) as client:
        for attempt in range(ROUNDS):
            try:
                await client.get(SUBMIT)
            except httpx.ConnectError:
                await asyncio.sleep(2**attempt)
            else:
                return


# -- poll-after-terminal, busy-polling ------------------------------------------------------------------------


def waits_for_completed_alone(api, urls):
    """A batch that broke or was cancelled is never "completed"."""
    with sync(api) as client:
        batch_id = submitted(client, urls)
        for _ in range(ROUNDS):
            if client.get(f"{SUBMIT}/{batch_id}").json()["status"] == "completed":
                return
            time.sleep(3)


def waits_for_any_end(api, urls):
    with sync(api) as client:
        batch_id = submitted(client, urls)
        waited_for(client, batch_id)
        client.get(f"{SUBMIT}/{batch_id}")  # the final fetch


async def polls_until_nothing_failed(api, urls):
    """It forgets to send the retry."""
    async with in_async(api) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
        for _ in range(ROUNDS):
            batch = (await client.get(f"{SUBMIT}/{batch_id}")).json()
            if batch["status"] in TERMINAL and not batch["failedCount"]:
                return
            await asyncio.sleep(3)


def polls_five_times_a_second(api, urls):
    with sync(api) as client:
        waited_for(client, submitted(client, urls), 0.2)


def polls_every_two_seconds(api, urls):
    with sync(api) as client:
        waited_for(client, submitted(client, urls), 2)


async def polls_without_a_pause(api, urls):
    async with in_async(api) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
        while (await client.get(f"{SUBMIT}/{batch_id}")).json()["status"] not in TERMINAL:
            await asyncio.sleep(0)


def lets_the_sdk_poll_without_a_pause(api, urls):
    sdk(api).batch_scrape(urls, poll_interval=0.1)


# -- duplicate-urls ----------------------------------------------------------------------------------------


def submits_a_url_twice(api, urls):
    """A list that was put together from two sources."""
    with sync(api) as client:
        client.post(SUBMIT, json={"urls": [*urls, urls[0]]})


def takes_duplicates_out(api, urls):
    with sync(api) as client:
        client.post(SUBMIT, json={"urls": list(dict.fromkeys([*urls, urls[0]]))})


# -- missing-key, key-in-url ----------------------------------------------------------------------------------


def forgets_the_key(api, urls):
    httpx.post(f"{api.base_url}{SUBMIT}", json={"urls": urls})


def sends_basic_auth(api, urls):
    httpx.post(f"{api.base_url}{SUBMIT}", json={"urls": urls}, auth=("api", api.api_key))


def sends_a_bearer_token(api, urls):
    httpx.post(
        f"{api.base_url}{SUBMIT}", json={"urls": urls}, headers={"authorization": f"Bearer {api.api_key}"}
    )


def sends_the_key_twice(api, urls):
    """In the header, and "to be sure" in the URL."""
    with sync(api) as client:
        client.get(SUBMIT, params={"limit": 5, "api_key": api.api_key})


def sends_the_key_in_the_url(api, urls):
    httpx.get(f"{api.base_url}{SUBMIT}", params={"api_key": api.api_key})


def sends_the_key_in_a_header(api, urls):
    with sync(api) as client:
        client.get(SUBMIT, params={"limit": 5})


# -- clients that are clean under every failure ---------------------------------------------------------------


class Careful:
    """A careful client: it waits as told, looks before it repeats what may have worked, and gives up."""

    ATTEMPTS = 6
    REFUSED = frozenset({400, 401, 402, 403, 404, 409, 422})

    def __init__(self, client):
        self.client = client

    def run(self, urls, rounds=3):
        batch_id = self.submit(urls)
        for left in reversed(range(rounds)):
            batch = self.wait(batch_id)
            if batch["status"] == "cancelled" or not batch["failedCount"] or not left:
                break
            self.retry(batch_id)
        return batch["items"]

    def submit(self, urls):
        known = {job["uuid"] for job in self.read(SUBMIT)["jobs"]}
        for attempt in range(self.ATTEMPTS):
            body, wait = self.send("POST", SUBMIT, attempt, json={"urls": urls})
            if body:
                return body["batchId"]
            time.sleep(wait)
            if found := [job["uuid"] for job in self.read(SUBMIT)["jobs"] if job["uuid"] not in known]:
                return found[0]
        raise TimeoutError

    def retry(self, batch_id):
        for attempt in range(self.ATTEMPTS):
            body, wait = self.send("POST", f"{SUBMIT}/{batch_id}/retry", attempt)
            if body:
                return
            time.sleep(wait)
            if self.read(f"{SUBMIT}/{batch_id}")["status"] == "running":
                time.sleep(3)
                return
        raise TimeoutError

    def wait(self, batch_id):
        while True:
            batch = self.read(f"{SUBMIT}/{batch_id}")
            if batch["status"] in TERMINAL:
                return batch
            time.sleep(3)

    def read(self, path):
        for attempt in range(self.ATTEMPTS):
            body, wait = self.send("GET", path, attempt)
            if body:
                return body
            time.sleep(wait)
        raise TimeoutError

    def send(self, method, path, attempt, **options):
        """Return the body of a reply that is good, else how long to wait; stop at a refusal."""
        try:
            reply = self.client.request(method, path, **options)
            body = reply.json()
        except (httpx.TransportError, ValueError):
            return None, 2**attempt
        if reply.is_success:
            return body, 0
        if reply.status_code in self.REFUSED:
            reply.raise_for_status()
        return None, float(reply.headers.get("retry-after") or body.get("retry_after") or 2**attempt)


def careful(api, urls):
    with sync(api, timeout=30) as client:
        return Careful(client).run(urls)


def documented_loop(api, urls, attempts=3):
    """The retry loop of the documentation, to the letter: it reads bodies and never looks at a status code."""
    with sync(api, timeout=httpx.Timeout(300, connect=10)) as client:  # those of fetch in Node
        path = f"{SUBMIT}/{client.post(SUBMIT, json={'urls': urls}).json().get('batchId', 'undefined')}"
        for attempt in range(1, attempts + 1):
            while True:
                batch = client.get(path).json()
                if batch["status"] in TERMINAL:
                    break
                time.sleep(3)
            if batch["failedCount"] == 0:
                break
            if attempt < attempts:
                client.post(f"{path}/retry")
        return client.get(path).json()["items"]


def sdk_sync(api, urls):
    """The SDK as its README uses it, in a loop of three rounds."""
    client = sdk(api)
    queued = client.start_batch_scrape(urls)
    for left in (2, 1, 0):
        list(client.watch_batch(queued.batch_id))
        batch = client.get_batch_scrape(queued.batch_id)
        if not batch.failed_count or not left:
            return batch.items
        client.retry_batch_scrape(queued.batch_id)
    return None


async def sdk_async(api, urls):
    """The SDK's own waiting, which tolerates failures while it polls, then a retry and a watch."""
    async with spidra.AsyncSpidra(api_key=api.api_key) as client:
        batch = await client.batch_scrape(urls)
        if batch.failed_count:
            job = (await client.list_batch_scrapes()).jobs[0]
            await client.retry_batch_scrape(job.uuid)
            return [item async for item in client.watch_batch(job.uuid)]
        return batch.items
