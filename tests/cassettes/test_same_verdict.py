"""Replayed, a client is judged as it was when it met the API: accusations, assertions, outcomes, waits."""

from __future__ import annotations

import json
import re

import pytest
from judged_clients import ROWS, SERVER
from real_server import inner_fixture, notes_fixture, served  # noqa: F401 - fixtures, by other names

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xdist")]

AT_ONCE = "two at once"

MODULE = """
import asyncio, inspect
import pytest
from judged_clients import ROWS, clients, sdk, urls_of
from real_server import note
from pytest_spidra.verdicts.rules.judge import judge

clients.sdk = sdk
clients.waited_for.__defaults__ = (1.0,)

def said(method, *args, **settings):
    try:
        method(*args, **settings)
    except AssertionError as error:
        return str(error).splitlines()[0]
    return "passed"

@pytest.mark.parametrize("name", ROWS)
@pytest.mark.spidra(modes="replay", allow_unused_steps=True)
def test_it(spidra_api, name):
    row, api = ROWS[name], spidra_api
    for endpoint, steps in row.scripted.items():
        getattr(api.batch, endpoint).script(*steps)
    result = row.client(api, urls_of(name))
    if inspect.iscoroutine(result):
        asyncio.run(result)
    log = api.exchanges
    # By its id, which the recording holds: of two at once either may stand first in the log.
    batch = min((one.batch_id for one in log if one.batch_id), default=None)
    claims = {}
    for endpoint in ("batch.submit", "batch.get", "batch.list", "batch.retry", "batch.cancel"):
        claims |= {
            f"attempts {endpoint}": said(api.assert_attempts, endpoint, 2),
            f"not retried {endpoint}": said(api.assert_not_retried, endpoint),
            f"gave up {endpoint}": said(api.assert_gave_up, endpoint, 2),
            f"backed off {endpoint}": said(api.assert_backed_off, endpoint, [0.25]),
        }
    claims |= {
        "Retry-After": said(api.assert_respected_retry_after),
        "transient": said(api.assert_only_transient_retried),
        "submitted once": said(api.assert_submitted_once),
        "rules": said(api.assert_rules),
    }
    if batch is not None:
        claims |= {
            "retried": said(api.assert_batch_retried, batch),
            "not retried": said(api.assert_batch_not_retried, batch),
            "failed items": said(api.assert_only_failed_items_retried, batch),
            "done": said(api.assert_polled_until_done, batch),
            "often": said(api.assert_poll_interval, batch, 1.0),
            "seldom": said(api.assert_poll_interval, batch, 0.0, 0.9),
        }
    note(api.mode, name.replace("/", "-"), {
        "accused": [[one.rule, one.claim, one.numbers] for one in judge(log)],
        "claims": claims,
        "calls": [[call.endpoint, call.outcomes, call.waits] for call in log.calls()],
        "ids": [one.batch_id for one in log],
        "seen": [[one.endpoint, one.path, one.seen, one.seen_json, one.asked_wait] for one in log],
        "took": [round((one.seen_at - one.sent_at), 4) for one in log],
        "elapsed": api.clock.elapsed,
    })
"""


def told(note):
    """Return a note without hundredths of seconds: a busy machine is late now and then, and claims say it."""
    accused = [
        [rule, re.sub(r"\d+\.\d+ s", "… s", claim), numbers] for rule, claim, numbers in note["accused"]
    ]
    claims = {name: re.sub(r"\d+\.\d+", "…", said) for name, said in note["claims"].items()}
    return {**note, "accused": accused, "claims": claims, "elapsed": round(note["elapsed"], 1)}


def in_no_order(note):
    """Return a note of what does two things at once: which of them is first is anybody's guess, live and replayed."""

    def unnumbered(value):
        return re.sub(r"#\d+", "#…", json.dumps(value, sort_keys=True))

    accused = [[rule, claim] for rule, claim, _ in note["accused"]]
    claims = {name: unnumbered(said) for name, said in note["claims"].items()}
    # The first of the accusations, whichever that is; all of them, with their batches, are compared besides.
    claims["rules"] = re.sub(r"\b[0-9a-f]{8}\b", "…", claims["rules"])
    lists = {what: sorted(map(unnumbered, note[what])) for what in ("calls", "ids", "seen")}
    return {**note, **lists, "accused": sorted(map(unnumbered, accused)), "claims": claims, "took": []}


def test_every_client_has_the_same_verdict_live_and_replayed(inner, notes, pytester):
    """Whatever rule it breaks or keeps, and down to the microsecond of its waits."""
    with served(pytester.path, SERVER) as base_url:
        inner(MODULE, base_url, "--spidra-record=all", "-n", "4").assert_outcomes(passed=len(ROWS))
    inner(MODULE, base_url).assert_outcomes(passed=len(ROWS))
    live = {name: told(note) for name, note in notes["record"].items()}
    replayed = {name: told(note) for name, note in notes["replay"].items()}
    found = {name: tuple(rule for rule, *_ in note["accused"]) for name, note in replayed.items()}
    for several in (live, replayed):
        several[AT_ONCE] = in_no_order(several[AT_ONCE])
    assert live.keys() == replayed.keys() == ROWS.keys()
    differences = [
        (name, what, live[name][what], replayed[name][what])
        for name in ROWS
        for what in live[name]
        if live[name][what] != replayed[name][what]
    ]
    assert differences == []
    assert {name: tuple(dict.fromkeys(rules)) for name, rules in found.items()} == {
        name: row.accused for name, row in ROWS.items()
    }
