"""Clients that work on several batches at once; each takes the API, bodies to submit and the order to begin in.

They return, for each body by its place, the batch's id where the client learns it and its items.
"""

from __future__ import annotations

import asyncio
import threading
import time

import httpx
import spidra

SUBMIT = "/batch/scrape"
PAUSE = 0.2  # seconds between two looks; recordings wait for real


def _settings(api):
    return {"base_url": api.base_url, "headers": {"x-api-key": api.api_key}}


async def gathered_httpx(api, bodies, order):
    async def one(client, place):
        reply = await client.post(SUBMIT, json=bodies[place])
        path = f"{SUBMIT}/{reply.json()['batchId']}"
        while (batch := (await client.get(path)).json())["status"] != "completed":
            await asyncio.sleep(PAUSE)
        return place, [reply.json()["batchId"], batch["items"]]

    async with httpx.AsyncClient(**_settings(api)) as client:
        return dict(await asyncio.gather(*(one(client, place) for place in order)))


async def gathered_sdk(api, bodies, order):
    async def one(client, place):
        options = dict(bodies[place])
        batch = await client.batch_scrape(options.pop("urls"), poll_interval=PAUSE, **options)
        return place, [None, [vars(item) for item in batch.items]]

    async with spidra.AsyncSpidra(api_key=api.api_key, api_url=api.base_url) as client:
        return dict(await asyncio.gather(*(one(client, place) for place in order)))


def in_threads(work, order):
    """Let each thread do its part; whatever fails there, fails here."""
    found, errors = {}, []

    def one(place):
        try:
            found[place] = work(place)
        except BaseException as error:  # noqa: BLE001 - pytest's failures are no exceptions
            errors.append(error)

    threads = [threading.Thread(target=one, args=(place,)) for place in order]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error
    return found


def threads_of_httpx(api, bodies, order):
    with httpx.Client(**_settings(api)) as client:

        def one(place):
            batch_id = client.post(SUBMIT, json=bodies[place]).json()["batchId"]
            while (batch := client.get(f"{SUBMIT}/{batch_id}").json())["status"] != "completed":
                time.sleep(PAUSE)
            return [batch_id, batch["items"]]

        return in_threads(one, order)


def threads_of_sdk(api, bodies, order):
    client = spidra.Spidra(api_key=api.api_key, api_url=api.base_url)

    def one(place):
        options = dict(bodies[place])
        batch = client.batch_scrape(options.pop("urls"), poll_interval=PAUSE, **options)
        return [None, [vars(item) for item in batch.items]]

    return in_threads(one, order)


CROWDS = {crowd.__name__: crowd for crowd in (gathered_httpx, gathered_sdk, threads_of_httpx, threads_of_sdk)}
