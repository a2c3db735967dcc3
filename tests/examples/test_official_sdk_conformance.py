"""The official SDK, wrapped in fifteen lines: what it does about each failure, and where it is not careful."""

import pytest
import spidra
from spidra.lib.poll import PollOptions, poll

from pytest_spidra.conformance import BatchRunnerConformance, xfail


async def run(urls, *, base_url, api_key, max_attempts):
    """Submit, let the SDK wait, retry what has failed."""
    async with spidra.AsyncSpidra(api_key=api_key, api_url=base_url) as client:
        queued = await client.start_batch_scrape(urls)
        for left in reversed(range(max_attempts)):
            batch = await poll(
                lambda: client.get_batch_scrape(queued.batch_id),
                PollOptions(poll_interval=5.0, timeout=600.0),
            )
            if batch.status != "completed" or not batch.failed_count or not left:
                return batch.items
            await client.retry_batch_scrape(queued.batch_id)


class TestOfficialSdk(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return run

    test_submit_bad_gateway_done = xfail(
        reason="the SDK sends a POST again after 502, also one that has reached the service: the pages are paid twice"
    )
    test_get_body_truncated = xfail(
        reason="the SDK ends its waiting with a JSONDecodeError when a body is cut off"
    )
    test_get_body_empty = xfail(reason="the SDK ends its waiting with a JSONDecodeError when a body is empty")
