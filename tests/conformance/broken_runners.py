"""Runners with one bug each, and the cases that show it: bug → {case: the word of the complaint}."""

from __future__ import annotations

import time

import httpx
from runners import BATCHES, TERMINAL, Careful

# Beside each bug stand the cases that show it, by the complaint that they make.

BUGS = {}


def shown_by(**cases):
    """Note which cases show the bug, and by which complaint."""

    def note(runner):
        BUGS[runner] = cases
        return runner

    return note


# -- what no rule can see: the result --------------------------------------------------------------------------


@shown_by(never_heals="pages missing", none_heals="silent", batch_breaks="pages missing")
class ReturnsOnlyWhatCompleted(Careful):
    def result(self, urls, batch):
        return [item for item in batch["items"] if item["status"] == "completed"]


@shown_by(page_heals="pages missing", never_heals="pages missing")
class ReturnsOnlyTheRetriedItems(Careful):
    def merged(self, before, batch):
        failed = {item["uuid"] for item in before["items"] if item["status"] == "failed"}
        return {**batch, "items": [item for item in batch["items"] if item["uuid"] in failed]}


@shown_by(page_heals="paid page lost", never_heals="old state", pages_heal_in_turn="paid page lost")
class KeepsTheResultsOfTheFirstRound(Careful):
    def merged(self, before, batch):
        return {**batch, "items": before["items"]}


@shown_by(page_heals="invented", never_heals="invented")
class AddsUpTheItemsOfAllRounds(Careful):
    def merged(self, before, batch):
        return {**batch, "items": before["items"] + batch["items"]}


@shown_by(never_heals="invented", batch_is_cancelled="invented")
class GivesResultsToPagesByTheirPlace(Careful):
    def result(self, urls, batch):
        good = [item["result"] for item in batch["items"] if item["status"] == "completed"]
        return [
            {"url": url, "status": "completed", "result": result}
            for url, result in zip(urls, [*good, *urls], strict=False)
        ]


@shown_by(healthy="wrong result")
class MixesUpResults(Careful):
    def result(self, urls, batch):
        results = [item["result"] for item in reversed(batch["items"])]
        return [{**item, "result": result} for item, result in zip(batch["items"], results, strict=True)]


@shown_by(empty_results="silent")
class DropsEmptyResults(Careful):
    def result(self, urls, batch):
        return [item for item in batch["items"] if item["result"] or item["status"] != "completed"]


@shown_by(too_many_pages="pages missing")
class DropsWhatABatchDoesNotTake(Careful):
    def whole(self, urls, rounds):
        return super().whole(urls[: self.most], rounds)


@shown_by(healthy="invented", one_page="invented")
class ReturnsTheResultsAlone(Careful):
    def result(self, urls, batch):
        return [item["result"] for item in batch["items"]]


@shown_by(healthy="no status")
class ReturnsItemsWithoutAStatus(Careful):
    def result(self, urls, batch):
        return [{"url": item["url"], "result": item["result"]} for item in batch["items"]]


@shown_by(batch_is_cancelled="invented", batch_breaks="invented", never_heals="invented")
class ReportsEverythingAsCompleted(Careful):
    def result(self, urls, batch):
        return [{**item, "status": "completed"} for item in batch["items"]]


@shown_by(healthy="silent", page_heals="silent")
class ForgetsToReturn(Careful):
    def result(self, urls, batch):
        return []


@shown_by(never_heals="gives up early", none_heals="gives up early")
class ThrowsEverythingAwayForOneFailedPage(Careful):
    def result(self, urls, batch):
        if batch["failedCount"]:
            raise RuntimeError(f"{batch['failedCount']} pages failed")
        return batch["items"]


@shown_by(two_runs="pages missing")
class SharesItsResultsAmongRuns(Careful):
    shared = {}  # noqa: RUF012 - that is the bug

    def whole(self, urls, rounds):
        self.shared.clear()
        self.shared["items"] = super().whole(urls, rounds)
        time.sleep(5)
        return self.shared["items"]


# -- what no rule can see: refusals that are swallowed -----------------------------------------------------------


@shown_by(submit_forbidden="silent", credits_are_short="silent", key_is_wrong="silent")
class SwallowsARefusedSubmit(Careful):
    def scrape(self, urls, rounds):
        try:
            return super().scrape(urls, rounds)
        except RuntimeError:
            return []


@shown_by(submit_unauthorized="silent", submit_outage="silent", get_outage="silent")
class LogsAndReturnsNone(Careful):
    def whole(self, urls, rounds):
        try:
            return super().whole(urls, rounds)
        except RuntimeError:
            return None


class ReturnsWhatItHasWhenARetryFails(Careful):
    def scrape(self, urls, rounds):
        path = f"{BATCHES}/{self.submit(urls)}"
        batch = self.finished(path)
        for _ in range(rounds - 1):
            if self.to_retry(batch):
                if not self.accepted(path):
                    break
                batch = self.finished(path)
        return batch["items"]


@shown_by(retry_unavailable="too few rounds", retry_service_busy="too few rounds")
class SwallowsARefusedRetry(ReturnsWhatItHasWhenARetryFails):
    def accepted(self, path):
        return self.client.post(f"{path}/retry").is_success


@shown_by(
    retry_reply_lost="leaves early",
    retry_connection_reset="leaves early",
    retry_connect_error="too few rounds",
)
class TakesALostRetryForARefusedOne(ReturnsWhatItHasWhenARetryFails):
    def accepted(self, path):
        try:
            return self.client.post(f"{path}/retry").raise_for_status()
        except httpx.TransportError:
            return False


@shown_by(submit_forbidden="invented")
class InventsPagesForARefusedSubmit(Careful):
    def whole(self, urls, rounds):
        try:
            return super().whole(urls, rounds)
        except RuntimeError:
            return [{"url": url, "status": "completed", "result": ""} for url in urls]


# -- rounds ------------------------------------------------------------------------------------------------------


@shown_by(five_rounds="too few rounds", never_heals="too few rounds", two_rounds="too few rounds")
class OneRoundTooFew(Careful):
    def retries(self, rounds):
        return rounds - 2


@shown_by(never_heals="too many rounds", one_round="too many rounds", two_rounds="too many rounds")
class OneRoundTooMany(Careful):
    def retries(self, rounds):
        return rounds


@shown_by(one_round="too many rounds", two_rounds="too many rounds", five_rounds="too few rounds")
class ThreeRoundsWhateverIsWanted(Careful):
    def retries(self, rounds):
        return 2


@shown_by(all_fail_once="too few rounds", none_heals="too few rounds")
class TakesABatchWithoutAnyResultForDone(Careful):
    def to_retry(self, batch):
        return super().to_retry(batch) and batch["completedCount"]


@shown_by(page_heals="too few rounds", all_fail_once="too few rounds")
class NeverRetries(Careful):
    def to_retry(self, batch):
        return False


@shown_by(page_heals="leaves early", retry_is_slow="leaves early")
class DoesNotWaitForTheRetry(Careful):
    def scrape(self, urls, rounds):
        path = f"{BATCHES}/{self.submit(urls)}"
        batch = self.finished(path)
        for _ in range(rounds - 1):
            if self.to_retry(batch):
                self.retry(path, batch)
                batch = self.read(path)
        return batch["items"]


@shown_by(pages_end_one_by_one="leaves early", slow_work="leaves early")
class LeavesWithTheFirstPage(Careful):
    def ended(self, batch):
        return super().ended(batch) or batch["completedCount"] or batch["status"] == "running"


@shown_by(healthy="nothing-to-retry")
class RetriesWhatHasNotFailed(Careful):
    def to_retry(self, batch):
        return batch["status"] == "completed"


@shown_by(cancelled_with_a_failed_page="retry-of-cancelled")
class RetriesACancelledBatch(Careful):
    def to_retry(self, batch):
        return batch["failedCount"]


@shown_by(fails_while_others_run="retry-before-terminal")
class RetriesBeforeTheEnd(Careful):
    def ended(self, batch):
        return super().ended(batch) or batch["failedCount"]

    def to_retry(self, batch):
        return batch["failedCount"]


# -- money -------------------------------------------------------------------------------------------------------


@shown_by(
    submit_reply_lost="paid twice", submit_gateway_timeout_done="paid twice", submit_two_failures="paid twice"
)
class SendsALostSubmitAgain(Careful):
    def looks_first(self, method, path, reply):
        return path != BATCHES


@shown_by(submit_bad_gateway_done="paid twice")
class TakesABadGatewayForARefusal(Careful):
    def looks_first(self, method, path, reply):
        return reply is None or reply.status_code != 502


@shown_by(submit_body_truncated="paid twice", submit_body_empty="paid twice")
class SendsASubmitAgainWhoseReplyCannotBeRead(Careful):
    def submit(self, urls):
        for _ in range(self.tries):
            try:
                return super().submit(urls)
            except KeyError:
                time.sleep(1)
        raise RuntimeError("no id")

    def body(self, reply):
        try:
            return reply.json()
        except ValueError:
            return {}


@shown_by(retry_reply_lost="blind-resend", retry_gateway_timeout_done="blind-resend")
class SendsALostRetryAgain(Careful):
    def looks_first(self, method, path, reply):
        return not path.endswith("/retry")


@shown_by(page_heals="paid twice", pages_heal_in_turn="paid twice")
class SubmitsEverythingAnewForOneFailedPage(Careful):
    def scrape(self, urls, rounds):
        for _ in range(rounds):
            batch = self.finished(f"{BATCHES}/{self.submit_anew(urls)}")
            if not batch["failedCount"]:
                break
        return batch["items"]

    def submit_anew(self, urls):
        return self.sure("POST", BATCHES, lambda: None, {"urls": urls})["batchId"]


@shown_by(slow_work="paid twice")
class SubmitsAnewWhatTakesLong(Careful):
    patience = 30.0

    def scrape(self, urls, rounds):
        try:
            return super().scrape(urls, rounds)
        except TimeoutError:
            self.patience = 600.0
            batch_id = self.sure("POST", BATCHES, json={"urls": urls})["batchId"]
            return self.finished(f"{BATCHES}/{batch_id}")["items"]


@shown_by(two_runs_lose_replies="pages missing", submit_request_lost="pages missing")
class TakesTheNewestBatchForItsOwn(Careful):
    def is_mine(self, job, urls, began):
        return job["totalUrls"] == len(urls)

    def find(self, urls, began):
        jobs = self.sure("GET", f"{BATCHES}?limit=50")["jobs"]
        mine = [job for job in jobs if self.is_mine(job, urls, began)]
        return {"batchId": mine[0]["uuid"]} if mine else None


@shown_by(submit_request_lost="invented")
class TakesAnOldBatchForItsOwn(Careful):
    def is_mine(self, job, urls, began):
        return super().is_mine(job, urls, began - 3600)


# -- waits -------------------------------------------------------------------------------------------------------


@shown_by(get_service_busy="retry-after-ignored", submit_rate_limited="retry-after-ignored")
class IgnoresRetryAfter(Careful):
    def asked(self, reply):
        return 0


@shown_by(get_asks_in_the_body="retry-after-ignored")
class IgnoresTheBodysRetryAfter(Careful):
    def asked(self, reply):
        return self.seconds(reply.headers.get("retry-after") or 0)


@shown_by(get_asks_by_date="gives up early")
class KnowsNoDates(Careful):
    transient = (httpx.TransportError, AttributeError)

    def asked(self, reply):
        return float(reply.headers.get("retry-after") or 0)


@shown_by(get_asks_nonsense="gives up early")
class SleepsNegativeSeconds(Careful):
    def sure(self, method, path, done=lambda: None, json=None):
        reply = self.client.request(method, path, json=json) if method == "GET" else None
        if reply is not None and reply.status_code == 503 and "retry-after" in reply.headers:
            time.sleep(float(reply.headers["retry-after"]))
        return super().sure(method, path, done, json)


@shown_by(get_outage="no-backoff", submit_dead_connection="no-backoff")
class NeverBacksOff(Careful):
    def backoff(self, attempt):
        return 0.0

    def looks_first(self, method, path, reply):
        return method == "POST" and not isinstance(reply, httpx.Response | None)


@shown_by(pages_end_one_by_one="busy-polling", slow_work="busy-polling")
class PollsFiveTimesASecond(Careful):
    poll = 0.2


@shown_by(healthy="poll-after-terminal")
class GoesOnLookingAfterTheEnd(Careful):
    def result(self, urls, batch):
        job = self.sure("GET", f"{BATCHES}?limit=50")["jobs"][0]
        for _ in range(3):
            batch = self.read(f"{BATCHES}/{job['uuid']}")
        return batch["items"]


# -- how long it hangs -------------------------------------------------------------------------------------------


@shown_by(batch_breaks="hangs", batch_is_cancelled="hangs")
class WaitsForCompletedAlone(Careful):
    patience = float("inf")
    last_statuses = ("completed",)


@shown_by(page_hangs="hangs")
class HasNoDeadline(Careful):
    patience = float("inf")


@shown_by(page_hangs="waits too long")
class WaitsForADay(Careful):
    patience, poll = 86_400.0, 300.0


@shown_by(get_outage="hangs", submit_dead_connection="hangs")
class NeverGivesUp(Careful):
    tries = 10**9

    def backoff(self, attempt):
        return 5.0


@shown_by(get_unauthorized="permanent-error-resent", get_not_found="hangs")
class PollsOnWhateverTheAnswerIs(Careful):
    def finished(self, path):
        while True:
            body = self.client.get(path).json()
            if body.get("status") in TERMINAL:
                return body
            time.sleep(self.poll)


@shown_by(no_pages="hangs", submit_forbidden="hangs")
class PollsUndefined(Careful):
    def whole(self, urls, rounds):
        batch_id = self.client.post(BATCHES, json={"urls": urls}).json().get("batchId", "undefined")
        while (batch := self.client.get(f"{BATCHES}/{batch_id}").json())["status"] not in TERMINAL:
            time.sleep(self.poll)
        return batch["items"]


# -- what it gives up for ----------------------------------------------------------------------------------------


@shown_by(
    get_unavailable="gives up early", get_reply_lost="gives up early", get_fails_now_and_then="gives up early"
)
class GivesUpWithTheFirstFailedLook(Careful):
    def never_again(self, method, path, reply):
        return method == "GET"


@shown_by(get_body_truncated="gives up early", get_body_empty="gives up early")
class TripsOverHalfABody(Careful):
    transient = (httpx.TransportError,)

    def asked(self, reply):
        return 0.0 if reply.headers["content-type"].startswith("text/html") else super().asked(reply)


@shown_by(get_gateway_page="gives up early")
class TripsOverAPageOfHtml(Careful):
    def permanent(self, reply):
        if reply.status_code == 502:
            try:
                reply.json()
            except ValueError:
                raise RuntimeError("no JSON") from None
        return super().permanent(reply)


@shown_by(get_rate_limited="gives up early")
class TakesARateLimitForTheEnd(Careful):
    def permanent(self, reply):
        return reply.status_code < 500


@shown_by(healthy="key-in-url")
class PutsTheKeyIntoTheUrl(Careful):
    def read(self, path):
        return self.sure("GET", f"{path}?api_key={self.api_key}")


@shown_by(submit_forbidden="permanent-error-resent", submit_invalid="permanent-error-resent")
class SendsARefusedSubmitAgain(Careful):
    def permanent(self, reply):
        return False
