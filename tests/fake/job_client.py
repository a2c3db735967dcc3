"""A client of the fake service's jobs for tests: it keeps the time, and asks in plain words."""

from __future__ import annotations

import json

from fake_client import Client


class JobClient(Client):
    """Asks for jobs of one family."""

    def __init__(self, path, **settings):
        super().__init__(**settings)
        self.path = path

    def post(self, body, path=None):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path or self.path, content)

    def look(self, job_id, query=""):
        return self.send("GET", f"{self.path}/{job_id}", query=query)

    def outcomes(self, outcomes):
        told = {url: one if isinstance(one, list) else [one] for url, one in outcomes.items()}
        self.service.jobs.script_outcomes(self.path.strip("/"), told)

    def shown(self, job_id, looks=1):
        """Return the job as the last of several looks shows it."""
        for _ in range(looks):
            reply = self.look(job_id)
        assert reply.status == 200
        return reply.json
