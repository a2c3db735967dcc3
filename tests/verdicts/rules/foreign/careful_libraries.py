"""Careful clients on the retry libraries people use."""

from __future__ import annotations

import asyncio
import random
import time

import backoff
import httpx
import httpx_retries
import stamina
import tenacity

TERMINAL = {"completed", "failed", "cancelled"}
TRANSIENT = {429, 500, 502, 503, 504}


def _passing(error):
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in TRANSIENT
    return isinstance(error, httpx.TransportError)


def _wait_as_asked(state):
    error = state.outcome.exception()
    reply = getattr(error, "response", None)
    asked = reply.headers.get("retry-after") if reply is not None else None
    if asked is None:
        return min(2.0**state.attempt_number, 20)
    return float(asked) if asked.isdigit() else 30


def tenacity_around_the_looks(base_url, api_key, urls):
    """Looks are repeated with exponential waits, the submit is not."""
    http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    @tenacity.retry(
        retry=tenacity.retry_if_exception(_passing),
        wait=tenacity.wait_exponential(min=30, max=40),
        stop=tenacity.stop_after_attempt(4),
        reraise=True,
    )
    def look(batch_id):
        return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()

    batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
    for _ in range(40):
        if (batch := look(batch_id))["status"] in TERMINAL:
            return batch["items"]
        time.sleep(5)
    return None


def tenacity_waits_as_asked(base_url, api_key, urls):
    """Refused submits and all looks are repeated, with the wait that the reply asks for."""
    http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    def refused(error):
        return isinstance(error, httpx.HTTPStatusError) and error.response.status_code in {429, 502, 503}

    stop = tenacity.stop_after_attempt(5)
    submit = tenacity.Retrying(
        retry=tenacity.retry_if_exception(refused), wait=_wait_as_asked, stop=stop, reraise=True
    )
    look = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_passing), wait=_wait_as_asked, stop=stop, reraise=True
    )
    reply = submit(lambda: http.post("/batch/scrape", json={"urls": urls}).raise_for_status())
    path = f"/batch/scrape/{reply.json()['batchId']}"
    for _ in range(60):
        time.sleep(4)
        batch = look(lambda: http.get(path).raise_for_status()).json()
        if batch["status"] in TERMINAL:
            return batch["items"]
    return None


def tenacity_retries_until_the_result(base_url, api_key, urls):
    """The polling itself is tenacity's: again for as long as the result says that it is not done."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]

        @tenacity.retry(
            retry=tenacity.retry_if_result(lambda batch: batch["status"] not in TERMINAL),
            wait=tenacity.wait_fixed(5),
            stop=tenacity.stop_after_delay(240),
        )
        def result():
            return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()

        return result()["items"]


def tenacity_async(base_url, api_key, urls):
    """AsyncRetrying around the looks, jitter and all."""

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            reply = await http.post("/batch/scrape", json={"urls": urls})
            path = f"/batch/scrape/{reply.raise_for_status().json()['batchId']}"
            for _ in range(50):
                async for attempt in tenacity.AsyncRetrying(
                    retry=tenacity.retry_if_exception(_passing),
                    wait=tenacity.wait_fixed(30) + tenacity.wait_random(0, 3),
                    stop=tenacity.stop_after_attempt(3),
                    reraise=True,
                ):
                    with attempt:
                        batch = (await http.get(path)).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    return batch["items"]
                await asyncio.sleep(4)
            return None

    return asyncio.run(main())


def stamina_around_the_looks(base_url, api_key, urls):
    """stamina with a hook that knows what passes, and what the reply asks for."""

    def on(error):
        if not _passing(error):
            return False
        asked = (
            error.response.headers.get("retry-after") if isinstance(error, httpx.HTTPStatusError) else None
        )
        return float(asked) if asked and asked.isdigit() else True

    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(50):
            for attempt in stamina.retry_context(
                on=on, attempts=5, timeout=None, wait_initial=1.0, wait_max=30.0, wait_jitter=1.0
            ):
                with attempt:
                    batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            time.sleep(5)
        return None


def stamina_async_decorator(base_url, api_key, urls):
    """The decorator on a coroutine; a 429 or 503 is left to the caller, who gives up."""

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:

            @stamina.retry(
                on=httpx.TransportError, attempts=4, timeout=None, wait_initial=2.0, wait_jitter=0.5
            )
            async def look(batch_id):
                return await http.get(f"/batch/scrape/{batch_id}")

            reply = await http.post("/batch/scrape", json={"urls": urls})
            batch_id = reply.raise_for_status().json()["batchId"]
            for _ in range(50):
                batch = (await look(batch_id)).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    return batch["items"]
                await asyncio.sleep(3)
            return None

    return asyncio.run(main())


def backoff_around_the_looks(base_url, api_key, urls):
    """backoff.on_exception with exponential waits; what asks for a pause is not repeated."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:

        def hopeless(error):
            reply = getattr(error, "response", None)
            return reply is not None and (reply.status_code < 500 or "retry-after" in reply.headers)

        @backoff.on_exception(
            backoff.expo, httpx.HTTPError, giveup=hopeless, max_tries=4, factor=2, jitter=None
        )
        def look(batch_id):
            return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()

        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(50):
            if (batch := look(batch_id))["status"] in TERMINAL:
                return batch["items"]
            time.sleep(5)
        return None


def backoff_polls_by_predicate(base_url, api_key, urls):
    """backoff.on_predicate is the polling loop."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]

        @backoff.on_predicate(
            backoff.constant,
            lambda batch: batch["status"] not in TERMINAL,
            interval=4,
            jitter=None,
            max_tries=60,
        )
        def poll():
            return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()

        return poll()["items"]


def transport_of_httpx_retries(base_url, api_key, urls):
    """httpx-retries for what is safe by its own list of methods, with a backoff factor."""
    retry = httpx_retries.Retry(total=4, backoff_factor=1.0, backoff_jitter=0.0)
    with httpx.Client(
        base_url=base_url, headers={"x-api-key": api_key}, transport=httpx_retries.RetryTransport(retry=retry)
    ) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(50):
            batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            time.sleep(5)
        return None


def transport_of_httpx_retries_posts_where_refused(base_url, api_key, urls):
    """POSTs, too, but only after 429, 502 and 503, and never after a broken connection."""
    transport = httpx.HTTPTransport()
    safe = httpx_retries.Retry(total=3, backoff_factor=2.0, backoff_jitter=0.0)
    posts = httpx_retries.Retry(
        total=3,
        backoff_factor=2.0,
        backoff_jitter=0.0,
        allowed_methods=["POST"],
        status_forcelist=[429, 502, 503],
        retry_on_exceptions=[httpx.ConnectError],
    )
    layers = httpx_retries.RetryTransport(httpx_retries.RetryTransport(transport, retry=safe), retry=posts)
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, transport=layers) as http:
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        )
        for round_ in range(3):
            for _ in range(40):
                batch = http.get(path).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    break
                time.sleep(5)
            if batch["status"] != "completed" or not batch["failedCount"] or round_ == 2:
                return batch["items"]
            http.post(f"{path}/retry").raise_for_status()
        return None


def full_jitter_by_hand(base_url, api_key, urls):
    """The formula of the well-known article, with a floor of a second, for looks that failed."""
    dice = random.Random(7)
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        failures = 0
        for _ in range(50):
            try:
                batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
                failures = 0
            except httpx.HTTPError as error:
                failures += 1
                if failures > 4 or not _passing(error):
                    raise
                reply = getattr(error, "response", None)
                asked = 30 if reply is not None and "retry-after" in reply.headers else 0
                time.sleep(max(asked, 1 + dice.uniform(0, min(30, 2**failures))))
                continue
            if batch["status"] in TERMINAL:
                return batch["items"]
            time.sleep(5)
        return None
