"""Several careful clients at once are as clean as one, and a careless one among them is found, with its sender."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest
from cell import REQUEST_LIMIT, spidra_mock
from expectations import CAREFUL, CARELESS, EXCEPTIONS
from weather import SCRIPTS

from pytest_spidra.verdicts.rules.judge import judge

pytestmark = pytest.mark.foreign

WHOLE = "SPIDRA_FOREIGN" in os.environ
CROWDS = (2, 3, 10)
SCRIPTS_OF_A_CROWD = ("healthy", "one_fails_once", "get_503", "submit_429", "retry_busy")


def run_together(script, clients):
    """Let clients run at once, each in a thread and with pages of its own; return accusations and exchanges."""
    pages = [[f"https://shop-{who}.example/{n}" for n in range(1, 7)] for who in range(len(clients))]

    def run(client, urls):
        with suppress(Exception, pytest.fail.Exception):  # how a client gives up is its own affair
            client(mock.base_url, mock.api_key, urls)

    with spidra_mock(REQUEST_LIMIT * len(clients)) as mock:
        SCRIPTS[script](mock, [url for urls in pages for url in urls])
        threads = [threading.Thread(target=run, args=one) for one in zip(clients, pages, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return judge(mock.exchanges), list(mock.exchanges)


@pytest.mark.parametrize("name", sorted(CAREFUL.keys() - {"documented_loop"}))
def test_several_of_a_careful_client_at_once_are_accused_of_nothing(name):
    """By default in one crowd under one script, another one for each client; the documented loop looks at no status."""
    place = sorted(CAREFUL).index(name)
    cells = [(count, script) for count in CROWDS for script in SCRIPTS_OF_A_CROWD]
    chosen = cells if WHOLE else [cells[place % len(cells)]]
    wrong = []
    for count, script in chosen:
        if script in EXCEPTIONS.get(name, {}).values():
            continue
        accusations, _ = run_together(script, [CAREFUL[name]] * count)
        wrong += [f"{count} under {script}: {one.rule}: {one.claim}" for one in accusations]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "script", "rule"),
    [
        ("polls_five_times_a_second", "slow", "busy-polling"),
        ("tenacity_that_knows_no_headers", "get_busy", "retry-after-ignored"),
        ("looks_until_it_is_sure", "healthy", "poll-after-terminal"),
        ("tenacity_without_a_wait", "get_outage", "no-backoff"),
        ("polls_through_every_error", "get_404_for_ever", "permanent-error-resent"),
    ],
)
def test_a_careless_client_among_nine_careful_ones_is_named_with_its_sender(name, script, rule):
    accusations, exchanges = run_together(script, [CARELESS[name], *[CAREFUL["plain_script"]] * 9])
    (found,) = accusations
    guilty = {one.sender for one in exchanges if one.number in found.deeds}
    batches = {one.batch_id for one in exchanges if one.number in found.deeds}
    own = {
        one.batch_id
        for one in exchanges
        if one.request_json and any("shop-0." in url for url in one.request_json.get("urls", []))
    }
    assert (found.rule, guilty, batches) == (rule, {found.sender}, own)
