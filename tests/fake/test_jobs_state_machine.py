"""All kinds of jobs at once, driven at random: what must hold holds after every step."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from job_client import JobClient

from pytest_spidra.fake.job import ME
from pytest_spidra.fake.outcomes import batch_end, completed, failed, stuck

CREDITS = 500
SITES = [f"https://{name}.example" for name in "abc"]
QUERIES = ["cats", "dogs"]

whens = st.one_of(
    st.fixed_dictionaries({"after_polls": st.integers(0, 3)}),
    st.fixed_dictionaries({"after_seconds": st.sampled_from([0, 0.5, 3, 30])}),
)
outcomes = st.one_of(
    st.builds(
        lambda when, credits_, captchas: completed(credits=credits_, captchas=captchas, **when),
        whens,
        st.sampled_from([None, 0, 3]),
        st.sampled_from([0, 1]),
    ),
    st.builds(lambda when: failed("blocked", **when), whens),
    st.just(stuck()),
    st.just(stuck(delayed=True)),
)

AFTER = {
    "waiting": {"waiting", "active", "running", "delayed", "completed", "failed", "cancelled"},
    "active": {"active", "delayed", "completed", "failed"},
    "running": {"running", "delayed", "completed", "failed", "cancelled"},
    "delayed": {"delayed", "active", "running", "completed", "failed", "cancelled"},
    "completed": {"completed"},
    "failed": {"failed"},
    "cancelled": {"cancelled"},
}
"""What a look may show after another, by the words of the documentation."""

WORDS = {
    "scrape": {"waiting", "active", "delayed", "completed", "failed"},
    "search": {"waiting", "active", "delayed", "completed", "failed"},
    "crawl": {"waiting", "running", "delayed", "completed", "failed", "cancelled"},
}
KEPT = {"scrape": (3600, 86_400), "search": (3600, 86_400)}


class Jobs(RuleBasedStateMachine):
    jobs = Bundle("jobs")

    def __init__(self):
        super().__init__()
        self.client = JobClient("/scrape", credits=CREDITS, price_per_url=2)
        self.shown = {}
        self.pages = {}

    def accepted(self, kind, reply):
        assert reply.status in {200, 202, 403}
        if reply.status == 403:
            assert self.client.service.account.credits < CREDITS
            return None
        job = reply.json["jobId"]
        assert job not in self.shown
        self.shown[job] = [(kind, reply.json["status"])] if reply.json["status"] != "queued" else []
        return kind, job

    @rule(target=jobs, urls=st.lists(st.sampled_from(SITES), min_size=1, max_size=3))
    def scrape(self, urls):
        return self.accepted("scrape", self.client.post({"urls": [{"url": url} for url in urls]}, "/scrape"))

    @rule(
        target=jobs,
        query=st.sampled_from(QUERIES),
        wait=st.booleans(),
        limit=st.integers(1, 20),
        pages=st.booleans(),
    )
    def search(self, query, wait, limit, pages):
        more = {"scrapeOptions": {}} if pages else {}
        reply = self.client.post({"query": query, "wait": wait, "limit": limit, **more}, "/search")
        return self.accepted("search", reply)

    @rule(target=jobs, site=st.sampled_from(SITES), most=st.integers(1, 6), ai=st.booleans())
    def crawl(self, site, most, ai):
        more = {"transformInstruction": "x"} if ai else {}
        return self.accepted("crawl", self.client.post({"baseUrl": site, "maxPages": most, **more}, "/crawl"))

    @rule(target=jobs, job=jobs)
    def extract(self, job):
        if job is None or job[0] != "crawl":
            return None
        reply = self.client.post({"transformInstruction": "y"}, f"/crawl/{job[1]}/extract")
        if reply.status == 400:
            assert self.client.service.jobs.states[job[1]].status != "completed"
            return None
        return self.accepted("crawl", reply)

    @rule(job=jobs, looks=st.integers(1, 3))
    def look_often(self, job, looks):
        for _ in range(looks):
            self.look(job)

    def look(self, job):
        if job is None:
            return None
        kind, job_id = job
        reply = self.client.send("GET", f"/{kind}/{job_id}")
        state = self.client.service.jobs.states[job_id]
        if reply.status == 404:
            good, bad = KEPT[kind]
            assert state.terminal
            kept = bad if state.status == "failed" else good
            assert self.client.now - state.finished_at > kept * 1_000_000
            return None
        body = reply.json
        assert body["status"] in WORDS[kind]
        if (before := self.shown[job_id]) and body["status"] not in AFTER[before[-1][1]]:
            raise AssertionError((before, body["status"]))
        before.append((kind, body["status"]))
        if kind != "crawl":
            assert (body["result"] is not None) == (body["status"] == "completed")
        assert (body["error"] is not None) == (body["status"] == "failed")
        return body["status"]

    @rule(job=jobs)
    def read_pages(self, job):
        if job is None or job[0] != "crawl":
            return
        found = self.client.send("GET", f"/crawl/{job[1]}/pages").json
        ids = [page["id"] for page in found["pages"]]
        assert found["total"] == len(ids) == len(set(ids))
        before = self.pages.get(job[1], [])
        assert set(before) <= set(ids)
        self.pages[job[1]] = ids

    @rule(job=jobs, place=st.integers(0, 5))
    def retry_page(self, job, place):
        if job is None or not (ids := self.pages.get(job[1])):
            return
        before = self.client.service.account.credits
        reply = self.client.send("POST", f"/crawl/{job[1]}/retry/{ids[place % len(ids)]}", b"{}")
        used = reply.json["creditsUsed"] if reply.status == 200 else 0
        assert self.client.service.account.credits == before - used

    @rule(job=jobs)
    def cancel(self, job):
        if job is None or job[0] != "crawl":
            return
        reply = self.client.send("DELETE", f"/crawl/{job[1]}")
        terminal = self.client.service.jobs.states[job[1]].terminal
        assert reply.status in ({200, 409} if terminal else {200})

    @rule(site=st.sampled_from(SITES), search=st.sampled_from(["", "nothing"]))
    def map(self, site, search):
        before = self.client.service.account.credits
        reply = self.client.post({"url": site, "search": search}, "/map")
        used = reply.json["creditsUsed"] if reply.status == 200 else 0
        assert self.client.service.account.credits == before - used

    @rule(seconds=st.sampled_from([0.5, 3, 60, 3600, 90_000]))
    def wait(self, seconds):
        self.client.wait(seconds)

    @rule(
        kind=st.sampled_from(["scrape", "crawl"]),
        site=st.sampled_from(SITES),
        several=st.lists(outcomes, min_size=1, max_size=2),
    )
    def script(self, kind, site, several):
        self.client.service.jobs.script_outcomes(kind, {site: several})

    @rule(query=st.sampled_from(QUERIES), several=st.lists(outcomes, min_size=1, max_size=2))
    def script_a_search(self, query, several):
        self.client.service.jobs.script_outcomes("search", {query: several})

    @rule(status=st.sampled_from(["failed", "cancelled"]), when=whens)
    def script_an_end(self, status, when):
        self.client.service.jobs.ends.append(("crawl", batch_end(status, **when)))

    @rule(story=st.sampled_from(["completed", "cancelled"]))
    def tell_another_story(self, story):
        self.client.service.account.crawl_cancel = story

    @invariant()
    def the_books_balance(self):
        service = self.client.service
        states = service.jobs.states.values()
        held = sum(item.held for state in states for item in state.items)
        held += sum(getattr(state, "rest", 0) for state in states)
        assert service.account.credits + held + service.ledger.charged == CREDITS
        assert held >= 0
        bill = service.bill(self.client.now)
        assert bill.charged >= service.ledger.charged

    @invariant()
    def what_has_ended_holds_nothing(self):
        for state in self.client.service.jobs.states.values():
            if state.terminal:
                assert sum(item.held for item in state.items) + getattr(state, "rest", 0) == 0
                assert all(item.terminal for item in state.items)
                assert state.finished_at <= self.client.now

    @invariant()
    def ids_and_lists_are_stable(self):
        states = list(self.client.service.jobs.states.values())
        assert [state.id for state in states] == list(self.client.service.jobs.states)
        crawls = [state.id for state in states if state.kind.name == "crawl" and state.owner == ME]
        history = self.client.send("GET", "/crawl/history", query="limit=100").json
        assert [row["id"] for row in history["jobs"]] == crawls[::-1][:100]
        assert history["total"] == len(crawls)

    @invariant()
    def the_account_tells_the_truth(self):
        told = self.client.send("GET", "/account").json["data"]["credits"]
        assert told["used"] + told["remaining"] == told["limit"]
        assert told["remaining"] == max(self.client.service.account.credits, 0)


Jobs.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
TestJobs = Jobs.TestCase
