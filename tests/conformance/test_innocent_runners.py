"""Runners that choose otherwise than the careful one, and are as careful: no case has anything against them."""

import time

import pytest
from runners import BATCHES, TERMINAL, Careful
from test_broken_runners import found

from pytest_spidra.conformance.work_cases import CASES


class OneBatchForEachPage(Careful):
    most = 1


class SubmitsAnewOnlyWhatFailed(Careful):
    """A batch of its own for each round: what has failed cost nothing."""

    def scrape(self, urls, rounds):
        items = {}
        for _ in range(rounds):
            batch = self.finished(f"{BATCHES}/{self.submit(urls)}")
            items |= {item["url"]: item for item in batch["items"]}
            urls = [item["url"] for item in batch["items"] if item["status"] == "failed"]
            if not urls or batch["status"] != "completed":
                break
        return items.values()


class LooksAtTheListUntilItHasEnded(Careful):
    def finished(self, path):
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            for job in self.sure("GET", f"{BATCHES}?limit=50")["jobs"]:
                if path.endswith(job["uuid"]) and job["status"] in TERMINAL:
                    return self.read(path)
            time.sleep(self.poll)
        raise TimeoutError(path)


class CancelsWhatItGivesUp(Careful):
    def finished(self, path):
        try:
            return super().finished(path)
        except TimeoutError:
            self.sure("DELETE", path, lambda: self.read(path)["status"] == "cancelled")
            raise


class ReturnsWhatItHasAtItsDeadline(Careful):
    def finished(self, path):
        try:
            return super().finished(path)
        except TimeoutError:
            return self.read(path)


class TakesItsTime(Careful):
    """It looks every fifteen seconds, and waits for minutes after an error."""

    poll = 15.0

    def backoff(self, attempt):
        return 20.0 * 2**attempt


class ReturnsInAnotherOrderAndMore(Careful):
    def result(self, urls, batch):
        return tuple(
            {**item, "batch": batch["createdAt"], "attempts": 1} for item in reversed(batch["items"])
        )


class GivesUpASubmitAtOnce(Careful):
    """Nothing is lost by that but convenience, and the error says so."""

    def never_again(self, method, path, reply):
        return path == BATCHES and method == "POST"


class GivesUpARetryAtOnce(Careful):
    def never_again(self, method, path, reply):
        return path.endswith("/retry")


class ReturnsWhatItHasWhenARetryIsRefusedForGood(Careful):
    def scrape(self, urls, rounds):
        path = f"{BATCHES}/{self.submit(urls)}"
        batch = self.finished(path)
        for _ in range(rounds - 1):
            if self.to_retry(batch):
                try:
                    self.retry(path, batch)
                except RuntimeError as error:
                    if str(error).endswith(("401", "402", "403", "404")):
                        break
                    raise
                batch = self.finished(path)
        return batch["items"]


class RaisesWhenABatchHasNotCompleted(Careful):
    def result(self, urls, batch):
        if batch["status"] != "completed":
            raise RuntimeError(f"the batch has {batch['status']}")
        return batch["items"]


class ReportsARefusedSubmitPageByPage(Careful):
    def whole(self, urls, rounds):
        try:
            return super().whole(urls, rounds)
        except RuntimeError as error:
            if "POST" in str(error) and not str(error).endswith("no reply") and "/retry" not in str(error):
                return [{"url": url, "status": "failed", "result": None, "error": str(error)} for url in urls]
            raise


class HealsABrokenBatch(Careful):
    def to_retry(self, batch):
        return batch["status"] != "cancelled" and batch["failedCount"]


INNOCENTS = [
    kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Careful)
][1:]


@pytest.mark.slow
@pytest.mark.parametrize("innocent", INNOCENTS, ids=lambda kind: kind.__name__)
def test_an_innocent_is_accused_by_no_case(innocent):
    assert {case.name: wrong for case in CASES if (wrong := found(innocent(), case))} == {}
