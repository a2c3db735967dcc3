"""Cases of the work itself: pages that fail, batches that break, credits that run out, several runs at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_spidra import (
    RateLimit,
    completed,
    failed,
    http_error,
    ok,
    reply_lost,
    request_lost,
    service_busy,
    stuck,
)
from pytest_spidra.conformance.cases import FINISH, FINISH_OR_RAISE, GET, HONEST, RETRY, SUBMIT, URLS, Case

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pytest_spidra.sessions.fake_sessions import FakeSession

MANY = [f"https://shop.example/page/{number}" for number in range(1, 51)]
OTHERS = [f"https://news.example/story/{number}" for number in range(1, 4)]


def _account(**settings: Any) -> Callable[[FakeSession], None]:
    def prepare(session: FakeSession) -> None:
        for name, value in settings.items():
            setattr(session.mock.account, name, value)

    return prepare


def _ends(status: Any, **more: Any) -> Callable[[FakeSession], object]:
    return lambda session: session.mock.batch.ends(status, **more)


def _credits_gone(session: FakeSession) -> None:
    """Three pages cost four credits, and there are three: nothing is left for a retry."""
    session.mock.account.credits = 3 * session.mock.account.price_per_url


def _asks_by_date(session: FakeSession) -> None:
    then = session.to_whole_second() + timedelta(seconds=20)
    session.mock.batch.get.script(http_error(503, retry_after=then))


def _other_batches(session: FakeSession) -> None:
    """Leave batches of others in the list: one of as many pages is at work, one with the same pages is old."""
    session.factory(OTHERS, status="running")
    session.factory(URLS, status="completed")


def _lost_and_list(*steps: Any, always: Any = None) -> Callable[[FakeSession], None]:
    """Lose the reply to the submit, so that there is a reason to look at the list, and let that fail."""

    def prepare(session: FakeSession) -> None:
        session.mock.batch.submit.script(reply_lost())
        session.mock.batch.list.script(*steps)
        if always is not None:
            session.mock.batch.list.always(always)

    return prepare


def _cancel_fails(step: Any) -> Callable[[FakeSession], object]:
    return lambda session: session.mock.batch.cancel.script(step)


def _work(
    name: str, failure: str, story: str, expected: Any = FINISH, operation: str = "", **more: Any
) -> Case:
    return Case(name, operation, failure, expected, story, **more)


WORK = [
    _work("healthy", "nothing", "Nothing fails."),
    _work("one_page", "nothing, 1 page", "One page, and nothing fails.", parts=(URLS[:1],)),
    _work("fifty_pages", "nothing, 50 pages", "As many pages as a batch takes.", parts=(MANY,)),
    _work(
        "too_many_pages",
        "60 pages",
        "More pages than a batch takes: it is 50, and the service refuses the rest with them.",
        FINISH_OR_RAISE,
        parts=([f"https://shop.example/page/{number}" for number in range(1, 61)],),
    ),
    _work("no_pages", "no pages", "Nothing is asked for.", HONEST, parts=([],)),
    _work(
        "pages_end_one_by_one",
        "pages end one by one",
        "The pages end one after the other, over several looks.",
        outcomes={URLS[0]: [completed()], URLS[1]: [completed(after_polls=3)], URLS[2]: [completed(after_polls=5)]},
    ),
    _work("slow_work", "pages take 90 s", "Each page takes a minute and a half.", outcomes={url: [completed(after_seconds=90)] for url in URLS}),
    _work("one_at_a_time", "one page at a time", "The service works at one page at a time.", prepare=_account(concurrency=1)),
    _work(
        "empty_results",
        "results are empty",
        "Pages complete with results that are empty: there was nothing on them.",
        outcomes={URLS[0]: [completed("")], URLS[1]: [completed({})], URLS[2]: [completed([])]},
    ),
    _work("milliseconds", "dates have milliseconds", "Dates come with milliseconds.", prepare=_account(timestamps="milliseconds")),
    _work("page_heals", "a page fails once", "One page fails in the first round and heals in the second.", outcomes={URLS[1]: [failed("Timeout"), completed()]}),
    _work(
        "pages_heal_in_turn",
        "pages fail once and twice",
        "One page heals in the second round, one in the third.",
        outcomes={URLS[0]: [failed("Timeout"), completed()], URLS[2]: [failed("Timeout"), failed("Blocked"), completed({"price": 12})]},
    ),
    _work("all_fail_once", "all pages fail once", "Every page fails in the first round; the batch is completed all the same.", outcomes={url: [failed("Timeout"), completed()] for url in URLS}),
    _work(
        "fails_while_others_run",
        "a page fails early",
        "One page fails at once while the others are still at work.",
        outcomes={URLS[0]: [failed("Blocked", after_polls=0), completed()], URLS[1]: [completed(after_polls=4)], URLS[2]: [completed(after_polls=4)]},
    ),
    _work(
        "never_heals",
        "a page never heals",
        "One page fails in every round, each time for another reason.",
        outcomes={URLS[1]: [failed("Timeout"), failed("Blocked"), *(failed(f"Refused {number}") for number in range(3, 12))]},
    ),
    _work("none_heals", "no page ever heals", "Every page fails in every round.", outcomes={url: [failed("Blocked")] for url in URLS}),
    _work("one_round", "a page fails, 1 round", "One page fails, and the caller wants one round only.", outcomes={URLS[1]: [failed("Timeout"), completed()]}, rounds=1),
    _work("two_rounds", "a page fails twice, 2 rounds", "One page fails twice, and the caller wants two rounds.", outcomes={URLS[1]: [failed("Timeout"), failed("Blocked"), completed()]}, rounds=2),
    _work("five_rounds", "a page fails 4 times, 5 rounds", "One page heals in the last of five rounds.", outcomes={URLS[1]: [*(failed(f"Refused {number}") for number in range(1, 5)), completed()]}, rounds=5),
    _work("retry_is_slow", "a retried page takes 60 s", "What was retried takes a minute.", outcomes={URLS[1]: [failed("Timeout"), completed(after_seconds=60)]}),
    _work("batch_breaks", "batch failed", "The batch breaks in the middle; one page had completed.", HONEST, outcomes={URLS[1]: [completed(after_polls=5)], URLS[2]: [completed(after_polls=5)]}, prepare=_ends("failed", after_polls=2)),
    _work("batch_breaks_with_nothing_failed", "batch failed, failedCount 0", "The batch breaks, and no page counts as failed.", HONEST, outcomes={url: [completed(after_polls=5)] for url in URLS}, prepare=_ends("failed", after_polls=2, unfinished="cancelled")),
    _work("batch_is_cancelled", "batch cancelled by others", "Somebody else cancels the batch; one page had completed.", HONEST, outcomes={URLS[1]: [completed(after_polls=5)], URLS[2]: [completed(after_polls=5)]}, prepare=_ends("cancelled", after_polls=2)),
    _work("cancelled_with_a_failed_page", "batch cancelled, 1 failed", "Somebody else cancels the batch after a page has failed.", HONEST, outcomes={URLS[0]: [failed("Timeout", after_polls=0)], URLS[1]: [completed(after_polls=5)], URLS[2]: [completed(after_polls=5)]}, prepare=_ends("cancelled", after_polls=2)),
    _work("page_hangs", "a page never ends", "One page stays running for ever.", HONEST, outcomes={URLS[1]: [stuck()]}),
    _work("credits_are_short", "403, too few credits", "There are credits for two pages of three: the submit is refused.", HONEST, operation="batch.submit", prepare=_account(credits=2)),
    _work("credits_run_out", "403, credits gone", "Credits run out between two rounds: the retry is refused.", HONEST, operation="batch.retry", outcomes={URLS[0]: [completed(credits=2)], URLS[1]: [failed("Timeout"), completed()]}, prepare=_credits_gone),
    _work("key_is_wrong", "401, wrong key", "The key is not one of the account's.", HONEST, operation="batch.submit", prepare=_account(keys=["spd_another_key"])),
    _work("key_is_wrong_403", "403, wrong key", "The key is not one of the account's, and the service says so with 403.", HONEST, operation="batch.submit", prepare=_account(keys=["spd_another_key"], invalid_key_status=403)),
    _work("quota_is_small", "429, quota of 6 a minute", "Six requests a minute are allowed, polling included.", FINISH_OR_RAISE, prepare=_account(rate_limit=RateLimit(6, 60.0)), outcomes={url: [completed(after_seconds=45)] for url in URLS}),
    _work("submit_two_failures", "503, then ReadTimeout, done", "The submit is refused, and the reply to the next one is lost.", FINISH_OR_RAISE, operation="batch.submit", steps=(http_error(503), reply_lost())),
    _work("submit_lost_among_others", "ReadTimeout, done, other batches", "The reply to the submit is lost, and the list holds other batches: one is at work, one had the same pages.", FINISH_OR_RAISE, operation="batch.submit", steps=(reply_lost(),), prepare=_other_batches),
    _work("submit_request_lost", "ReadTimeout, never done", "The submit is lost on its way, and the client waits for a reply in vain.", FINISH_OR_RAISE, operation="batch.submit", steps=(request_lost("ReadTimeout"),), prepare=_other_batches),
    _work("get_failures_in_a_row", "503, ReadTimeout, 502", "Three looks in a row fail, each otherwise.", FINISH_OR_RAISE, operation="batch.get", steps=(http_error(503), reply_lost(), http_error(502))),
    _work("get_fails_now_and_then", "503 every other look", "Every other look fails.", FINISH, operation="batch.get", steps=(ok(), http_error(503), ok(), http_error(502), ok(), http_error(503)), outcomes={url: [completed(after_polls=3)] for url in URLS}),
    _work("get_asks_by_date", "503, Retry-After as a date", "The service asks for time with an HTTP date.", operation="batch.get", prepare=_asks_by_date),
    _work("get_asks_nonsense", "503, Retry-After -5", "The service asks for a time that has passed.", operation="batch.get", steps=(http_error(503, headers={"retry-after": "-5"}),)),
    _work("get_asks_in_the_body", "503, retry_after in the body", "The service asks for 20 seconds in the body only.", operation="batch.get", steps=(service_busy(retry_after=20, header=False),)),
    _work("retry_two_failures", "503, then ReadTimeout, done", "The retry is refused, and the reply to the next one is lost.", FINISH_OR_RAISE, operation="batch.retry", steps=(http_error(503), reply_lost()), outcomes={URLS[1]: [failed("Timeout"), completed()]}),
    _work("get_fails_after_retry", "502 after a retry", "The first look after a retry fails.", FINISH, operation="batch.get", steps=(ok(), ok(), http_error(502)), outcomes={URLS[1]: [failed("Timeout"), completed()]}, rounds=2),
]  # fmt: skip

LIST = [
    _work(name, failure, f"The reply to the submit is lost, and the list cannot be had: {story}.", FINISH_OR_RAISE, operation="batch.list", prepare=prepare)
    for name, failure, story, prepare in (
        ("list_unavailable", "503", "it answers 503", _lost_and_list(http_error(503))),
        ("list_reply_lost", "ReadTimeout", "its reply never comes", _lost_and_list(reply_lost())),
        ("list_body_truncated", "body cut off", "half of it comes", _lost_and_list(ok(body="truncated"))),
        ("list_outage", "503, always", "it answers 503 for ever", _lost_and_list(always=http_error(503))),
        ("list_forbidden", "403, always", "it is forbidden", _lost_and_list(always=http_error(403))),
    )
]  # fmt: skip

CANCEL = [
    _work(name, failure, f"One page stays running for ever, and to cancel the batch fails: {story}.", HONEST, operation="batch.cancel", outcomes={URLS[1]: [stuck()]}, prepare=_cancel_fails(step))
    for name, failure, story, step in (
        ("cancel_unavailable", "503", "the service answers 503", http_error(503)),
        ("cancel_reply_lost", "ReadTimeout, done", "the reply never comes", reply_lost()),
    )
]  # fmt: skip

TOGETHER = [
    _work("two_runs", "nothing, 2 runs at once", "Two runs on one account at the same time, each with pages of its own.", parts=(URLS, OTHERS), outcomes={URLS[1]: [failed("Timeout"), completed()]}),
    _work("two_runs_lose_replies", "ReadTimeout, done, 2 runs", "Two runs at once, and the replies to both submits are lost: each is to find its own batch.", FINISH_OR_RAISE, operation="batch.submit", parts=(URLS, OTHERS), steps=(reply_lost(), reply_lost())),
]  # fmt: skip

_ORDER = ("", "batch.submit", "batch.get", "batch.list", "batch.retry", "batch.cancel")

CASES: tuple[Case, ...] = tuple(
    sorted(
        (*WORK, *TOGETHER, *SUBMIT, *GET, *LIST, *RETRY, *CANCEL),
        key=lambda case: _ORDER.index(case.operation),
    )
)
