"""Careless clients whose fault costs money: each has one, and is careful otherwise."""

from __future__ import annotations

import asyncio
import random
import time

import backoff
import httpx
import httpx_retries
import spidra
import stamina
import tenacity

TERMINAL = {"completed", "failed", "cancelled"}


def _finished(http, batch_id, interval=5, most=40):
    for _ in range(most):
        batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
        if batch["status"] in TERMINAL:
            return batch
        time.sleep(interval)
    raise TimeoutError(batch_id)


def resends_whatever_went_wrong(base_url, api_key, urls):
    """A submit that did not come back with 202 is sent again, twice at most, five seconds later."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for attempt in range(3):
            try:
                reply = http.post("/batch/scrape", json={"urls": urls}).raise_for_status()
                break
            except httpx.HTTPError as error:
                response = getattr(error, "response", None)
                if attempt == 2 or (response is not None and response.is_client_error):
                    raise
                time.sleep(5 if response is None or "retry-after" not in response.headers else 60)
        return _finished(http, reply.json()["batchId"])["items"]


def resends_in_another_order(base_url, api_key, urls):
    """The pages come out of a set, and in another order the second time."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        try:
            reply = http.post("/batch/scrape", json={"urls": urls})
        except httpx.TransportError:
            time.sleep(10)
            shuffled = urls[1:] + urls[:1]
            random.Random(3).shuffle(shuffled)
            reply = http.post("/batch/scrape", json={"urls": shuffled})
        return _finished(http, reply.raise_for_status().json()["batchId"])["items"]


def resends_in_halves(base_url, api_key, urls):
    """Perhaps it was too much at once: after a failure, both halves by themselves."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=15) as http:

        def submit(some):
            return [http.post("/batch/scrape", json={"urls": some}).raise_for_status().json()["batchId"]]

        try:
            ids = submit(urls)
        except (httpx.ReadTimeout, httpx.HTTPStatusError) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code not in {500, 504}:
                raise
            time.sleep(3)
            half = len(urls) // 2
            ids = submit(urls[:half])
            time.sleep(1)
            ids += submit(urls[half:])
        return [item for batch_id in ids for item in _finished(http, batch_id)["items"]]


def resends_without_what_the_cache_has(base_url, api_key, urls):
    """After a lost submit it goes by its cache, which has one of the pages meanwhile."""
    cache = set()
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(2):
            todo = [url for url in urls if url not in cache]
            try:
                batch_id = (
                    http.post("/batch/scrape", json={"urls": todo}).raise_for_status().json()["batchId"]
                )
                return _finished(http, batch_id)["items"]
            except httpx.TimeoutException:
                cache.add(urls[0])
                time.sleep(8)
        return None


def tenacity_around_the_submit(base_url, api_key, urls):
    """Any error of httpx's transport, and any 5xx, exponentially."""
    http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    def passing(error):
        return isinstance(error, httpx.TransportError) or (
            isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error
        )

    @tenacity.retry(
        retry=tenacity.retry_if_exception(passing),
        wait=tenacity.wait_exponential(min=30, max=60),
        stop=tenacity.stop_after_attempt(4),
        reraise=True,
    )
    def submit():
        return http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]

    return _finished(http, submit())["items"]


def stamina_on_timeouts_of_the_submit(base_url, api_key, urls):
    """stamina on broken connections, the POST's among them."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for attempt in stamina.retry_context(
            on=httpx.TransportError, attempts=3, timeout=None, wait_initial=2.0
        ):
            with attempt:
                reply = http.post("/batch/scrape", json={"urls": urls})
        return _finished(http, reply.raise_for_status().json()["batchId"])["items"]


def backoff_around_the_submit(base_url, api_key, urls):
    """backoff on timeouts and on every 5xx that does not ask for a pause."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:

        def hopeless(error):
            reply = getattr(error, "response", None)
            return reply is not None and (reply.is_client_error or "retry-after" in reply.headers)

        @backoff.on_exception(
            backoff.expo, httpx.HTTPError, giveup=hopeless, max_tries=3, factor=3, jitter=None
        )
        def submit():
            return http.post("/batch/scrape", json={"urls": urls}).raise_for_status()

        return _finished(http, submit().json()["batchId"])["items"]


def httpx_retries_for_posts(base_url, api_key, urls):
    """POST among the methods: the transport now repeats it after 504 and after timeouts, too."""
    retry = httpx_retries.Retry(
        total=3, backoff_factor=2.0, backoff_jitter=0.0, allowed_methods=["GET", "POST"]
    )
    with httpx.Client(
        base_url=base_url, headers={"x-api-key": api_key}, transport=httpx_retries.RetryTransport(retry=retry)
    ) as http:
        reply = http.post("/batch/scrape", json={"urls": urls}).raise_for_status()
        return _finished(http, reply.json()["batchId"])["items"]


def wait_for_around_the_submit(base_url, api_key, urls):
    """It gives a submit ten seconds, then sends another, never mind the first."""

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}, timeout=None) as http:
            for _ in range(2):
                try:
                    reply = await asyncio.wait_for(http.post("/batch/scrape", json={"urls": urls}), 10)
                    break
                except TimeoutError:
                    continue
            batch_id = reply.raise_for_status().json()["batchId"]
            for _ in range(40):
                batch = (await http.get(f"/batch/scrape/{batch_id}")).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    return batch["items"]
                await asyncio.sleep(5)
            return None

    return asyncio.run(main())


def sdk_again_after_any_error(base_url, api_key, urls):
    """The SDK keeps from sending a POST twice, and its user does not."""
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    for _ in range(2):
        try:
            batch_id = client.start_batch_scrape(urls).batch_id
            break
        except (httpx.TransportError, spidra.SpidraServerError):
            time.sleep(40)
    else:
        return None
    return list(client.watch_batch(batch_id, timeout=150))


def whole_job_in_tenacity(base_url, api_key, urls):
    """Submit and looks in one decorated function: a look that fails submits everything anew."""
    http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    def passing(error):
        return isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error

    @tenacity.retry(
        retry=tenacity.retry_if_exception(passing),
        wait=tenacity.wait_fixed(31),
        stop=tenacity.stop_after_attempt(3),
        reraise=True,
    )
    def job():
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        return _finished(http, batch_id)["items"]

    return job()


def whole_job_again_after_a_lost_look(base_url, api_key, urls):
    """try around everything, for broken connections: after a lost look the job begins anew."""
    for _ in range(2):
        with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
            reply = None
            try:
                reply = http.post("/batch/scrape", json={"urls": urls}).raise_for_status()
                return _finished(http, reply.json()["batchId"])["items"]
            except httpx.TransportError:
                if reply is None:
                    raise
                time.sleep(10)
    return None


def sdk_whole_job_again(base_url, api_key, urls):
    """batch_scrape() with a deadline, and once more when it strikes: the first batch still runs."""
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    for _ in range(2):
        try:
            return client.batch_scrape(urls, timeout=40).items
        except spidra.SpidraTimeoutError:
            print("too slow, once more")
    return None


def unfinished_pages_again(base_url, api_key, urls):
    """What has not ended after ten seconds is submitted again, beside the batch that still has it."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        first = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(3):
            time.sleep(4)
            batch = http.get(f"/batch/scrape/{first}").raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
        left = [item["url"] for item in batch["items"] if item["status"] in ("pending", "running")]
        second = http.post("/batch/scrape", json={"urls": left}).raise_for_status().json()["batchId"]
        return _finished(http, second)["items"]


def does_not_believe_its_202(base_url, api_key, urls):
    """A reply it cannot read is no reply, 202 or not."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(2):
            reply = http.post("/batch/scrape", json={"urls": urls}).raise_for_status()
            try:
                return _finished(http, reply.json()["batchId"])["items"]
            except ValueError:
                time.sleep(5)
        return None


def everything_again_after_a_cancel(base_url, api_key, urls):
    """A slow batch is cancelled and submitted anew, with the pages that it had finished."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        try:
            return _finished(http, batch_id, interval=6, most=4)["items"]
        except TimeoutError:
            reply = http.delete(f"/batch/scrape/{batch_id}")
            if reply.status_code != 409:
                reply.raise_for_status()
            batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
            return _finished(http, batch_id, most=10)["items"]


def everything_again_when_something_failed(base_url, api_key, urls):
    """Some pages failed: the whole list once more, the good ones included."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(2):
            batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
            batch = _finished(http, batch_id)
            if not batch["failedCount"]:
                break
        return batch["items"]


def runs_twice_to_be_sure(base_url, api_key, urls):
    """A double check a minute later, of pages whose results it has."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        runs = []
        for _ in range(2):
            batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
            runs.append({item["url"]: item["result"] for item in _finished(http, batch_id)["items"]})
            time.sleep(60)
        return runs[0] == runs[1]


def sdk_runs_twice_in_two_functions(base_url, api_key, urls):
    """The report and the export each scrape for themselves."""

    def scrape():
        return (
            spidra.Spidra(api_key=api_key, api_url=base_url)
            .batch_scrape(urls, prompt="price", timeout=100)
            .items
        )

    report, export = scrape(), scrape()
    return report, export


def a_page_twice_in_one_submit(base_url, api_key, urls):
    """The list of pages comes from two sources that overlap."""
    pages = urls + urls[:2]
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": pages}).raise_for_status().json()["batchId"]
        return _finished(http, batch_id)["items"]


def sdk_a_page_three_times(base_url, api_key, urls):
    """The same with the SDK, which sends what it is given."""
    return (
        spidra.Spidra(api_key=api_key, api_url=base_url)
        .batch_scrape([urls[0], *urls, urls[0]], timeout=150)
        .items
    )


def retries_blindly(base_url, api_key, urls):
    """A retry that did not come back is sent again, without a look."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        batch = _finished(http, batch_id)
        if batch["failedCount"] and batch["status"] != "cancelled":
            for _ in range(2):
                try:
                    reply = http.post(f"/batch/scrape/{batch_id}/retry")
                    if reply.status_code != 400 and not reply.is_server_error:
                        reply.raise_for_status()
                        break
                except httpx.TransportError as error:
                    print(error)
                time.sleep(31)
            return _finished(http, batch_id)["items"]
        return None
