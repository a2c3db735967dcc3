"""A client of the fake service for tests: it keeps the time, and asks in plain words."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from pytest_spidra.fake.account import Account
from pytest_spidra.fake.job import ME
from pytest_spidra.fake.outcomes import batch_end
from pytest_spidra.fake.placing import place
from pytest_spidra.fake.service import Service
from pytest_spidra.traffic.request import Request

NOW = 1_705_312_800_000_000
"""2024-01-15T10:00:00Z, the moment of the documentation's examples."""

KEY = {"x-api-key": "spd_test"}
BATCHES = "/batch/scrape"


def urls(count):
    return [f"https://example.com/{number}" for number in range(1, count + 1)]


class Client:
    """Asks a service of its own; time passes by `wait` only."""

    def __init__(self, **settings):
        # A price that is not 1 tells credits from counts.
        self.service = Service(Account(**{"price_per_url": 2, **settings}))
        self.now = NOW

    @property
    def account(self):
        return self.service.account

    @property
    def ledger(self):
        ledger = self.service.ledger
        return {"reserved": ledger.reserved, "charged": ledger.charged, "refunded": ledger.refunded}

    def wait(self, seconds):
        self.now += round(seconds * 1_000_000)

    def send(self, method, path, content=b"", headers=None, query=""):
        headers = KEY if headers is None else headers
        return self.service.answer(Request(method, path, query, headers, content), self.now)

    # -- replies ---------------------------------------------------------------------------------------

    def submit(self, what=3, **options):
        listed = urls(what) if isinstance(what, int) else what
        return self.send("POST", BATCHES, json.dumps({"urls": listed, **options}).encode())

    def get(self, batch_id):
        return self.send("GET", f"{BATCHES}/{batch_id}")

    def list(self, **query):
        return self.send("GET", BATCHES, query=urlencode(query))

    def cancel(self, batch_id):
        return self.send("DELETE", f"{BATCHES}/{batch_id}")

    def retry(self, batch_id, content=b"", headers=None):
        return self.send("POST", f"{BATCHES}/{batch_id}/retry", content, headers)

    # -- scripts ---------------------------------------------------------------------------------------

    def will(self, *outcomes, place=1):
        """Script the attempts at the URL that `urls` has in `place`."""
        self.service.script_outcomes({urls(place)[-1]: list(outcomes)})

    def ends(self, status, **how):
        self.service.ends.append(batch_end(status, **how))

    def place(self, what=3, status="completed", failing=0, owner=ME, outcomes=None):
        """Put a batch there that was submitted before the test began; return its id."""
        state = place(
            self.service,
            urls(what) if isinstance(what, int) else what,
            {"output": "json"},
            self.now,
            status=status,
            outcomes=outcomes or {},
            failing=failing,
            owner=owner,
        )
        return state.id

    # -- shortcuts: what was expected to work, as JSON --------------------------------------------------

    def submitted(self, what=3, **options):
        """Submit and return the batch id."""
        return self.submit(what, **options).json["batchId"]

    def seen(self, batch_id, looks=1):
        """Return the batch as the last of several looks shows it."""
        for _ in range(looks):
            reply = self.get(batch_id)
        return reply.json

    def items(self, batch_id, looks=1):
        return self.seen(batch_id, looks)["items"]

    def statuses(self, batch_id, looks=1):
        return [item["status"] for item in self.items(batch_id, looks)]

    def jobs(self, **query):
        return self.list(**query).json["jobs"]
