"""What can happen to a client: scripts by name, each a function of the fake and of the URLs that will be submitted.

Every item ends by time, never by the number of looks, so that clients that look at the list, or rarely, see the
same service as those that look often.
"""

from __future__ import annotations

import time
from email.utils import formatdate

from pytest_spidra import (
    completed,
    failed,
    gateway_error,
    http_error,
    ok,
    payment_overdue,
    queue_unavailable,
    rate_limited,
    reply_lost,
    request_lost,
    service_busy,
    stuck,
    too_many_pending,
)

DONE = completed(after_seconds=8)
BAD = failed("Timeout", after_seconds=8)


def work(mock, urls, bad=0, rounds=1):
    """Let every item take eight seconds, and the first `bad` ones fail in the first `rounds` rounds."""
    mock.batch.outcomes({url: [BAD] * rounds + [DONE] if n < bad else DONE for n, url in enumerate(urls)})


def steps(endpoint, *several, bad=0, rounds=1, forever=None):
    """Return a script that puts steps before one endpoint's answers."""

    def script(mock, urls):
        work(mock, urls, bad, rounds)
        one = getattr(mock.batch, endpoint)
        if several:
            one.script(*several)
        if forever is not None:
            one.always(forever)

    return script


def outcomes(bad=0, rounds=1):
    return lambda mock, urls: work(mock, urls, bad, rounds)


def at_once(mock, urls):
    mock.batch.outcomes(dict.fromkeys(urls, completed(after_polls=0)))


def one_fails_early(mock, urls):
    """The first page fails long before the others are done."""
    late = completed(after_seconds=20)
    early = [failed("Timeout", after_seconds=3), late]
    mock.batch.outcomes({url: late if n else early for n, url in enumerate(urls)})


def slow(mock, urls):
    mock.batch.outcomes(dict.fromkeys(urls, completed(after_seconds=70)))


def uneven(mock, urls):
    mock.batch.outcomes({url: completed(after_seconds=4 + 3 * (n % 6)) for n, url in enumerate(urls)})


def one_is_stuck(mock, urls):
    work(mock, urls)
    mock.batch.outcomes({urls[-1]: stuck()})


def batch_breaks(mock, urls):
    mock.batch.outcomes(dict.fromkeys(urls, completed(after_seconds=60)))
    mock.batch.ends("failed", after_seconds=12)


def batch_breaks_without_a_failed_item(mock, urls):
    mock.batch.outcomes(dict.fromkeys(urls, completed(after_seconds=60)))
    mock.batch.ends("failed", after_seconds=12, unfinished="cancelled")


def batch_is_cancelled(mock, urls):
    mock.batch.outcomes(dict.fromkeys(urls, completed(after_seconds=60)))
    mock.batch.ends("cancelled", after_seconds=12)


def batch_is_cancelled_after_a_failure(mock, urls):
    mock.batch.outcomes({url: failed("Timeout", after_seconds=3) if n == 0 else completed(after_seconds=60)
                         for n, url in enumerate(urls)})  # fmt: skip
    mock.batch.ends("cancelled", after_seconds=12)


def submit_429_date(mock, urls):
    work(mock, urls)
    mock.batch.submit.script(http_error(429, retry_after=formatdate(time.time() + 20, usegmt=True)))


def credits_run_out(mock, urls):
    """The pages that work cost more than was reserved, and nothing is left for the retry."""
    price = mock.account.price_per_url
    mock.account.credits = price * len(urls)
    dear = completed(after_seconds=8, credits=3 * price)
    mock.batch.outcomes({url: BAD if n == 0 else dear for n, url in enumerate(urls)})


def no_credits(mock, urls):
    work(mock, urls)
    mock.account.credits = 0


def wrong_key(mock, urls):
    work(mock, urls)
    mock.account.keys = {"of somebody else"}


def bad_day(mock, urls):
    """Everything once: a refused submit, a lost look, a gateway's page, a refused retry."""
    work(mock, urls, bad=1)
    mock.batch.submit.script(503)
    mock.batch.get.script(reply_lost("RemoteProtocolError"), gateway_error(502))
    mock.batch.retry.script(503)


def lost_submit_and_no_list(mock, urls):
    work(mock, urls)
    mock.batch.submit.script(reply_lost())
    mock.batch.list.script(503)


SCRIPTS = {
    # -- how the work goes
    "healthy": outcomes(),
    "at_once": at_once,
    "slow": slow,
    "uneven": uneven,
    "one_is_stuck": one_is_stuck,
    "one_fails_once": outcomes(bad=1),
    "one_fails_early": one_fails_early,
    "half_fail_twice": outcomes(bad=3, rounds=2),
    "one_fails_for_ever": outcomes(bad=1, rounds=20),
    "all_fail_for_ever": outcomes(bad=1000, rounds=20),
    "batch_breaks": batch_breaks,
    "batch_breaks_without_a_failed_item": batch_breaks_without_a_failed_item,
    "batch_is_cancelled": batch_is_cancelled,
    "batch_is_cancelled_after_a_failure": batch_is_cancelled_after_a_failure,
    "credits_run_out": credits_run_out,
    # -- the submit
    "submit_503": steps("submit", 503),
    "submit_502_page_twice": steps("submit", gateway_error(502), gateway_error(502)),
    "submit_502_after_the_work": steps("submit", http_error(502, processed=True)),
    "submit_504": steps("submit", 504),
    "submit_504_after_the_work": steps("submit", http_error(504, processed=True)),
    "submit_500": steps("submit", 500),
    "submit_429": steps("submit", rate_limited(retry_after=20)),
    "submit_429_date": submit_429_date,
    "submit_busy": steps("submit", service_busy(retry_after=20)),
    "submit_busy_long": steps("submit", service_busy(retry_after=60)),
    "submit_queue_unavailable": steps("submit", queue_unavailable()),
    "submit_too_many_pending": steps("submit", too_many_pending()),
    "submit_402": steps("submit", forever=payment_overdue()),
    "submit_422": steps("submit", forever=http_error(422, errors=["schema is invalid."])),
    "no_credits": no_credits,
    "wrong_key": wrong_key,
    "submit_request_lost": steps("submit", request_lost()),
    "submit_reply_lost": steps("submit", reply_lost()),
    "submit_reply_cut": steps("submit", ok(body="truncated")),
    "submit_reply_late": steps("submit", ok(after=40)),
    "lost_submit_and_no_list": lost_submit_and_no_list,
    "submit_outage": steps("submit", forever=503),
    # -- the looks
    "get_503": steps("get", 503),
    "get_503_page_then_lost": steps("get", gateway_error(503), reply_lost("ReadError")),
    "get_500": steps("get", 500),
    "get_504": steps("get", 504),
    "get_429": steps("get", rate_limited(retry_after=20)),
    "get_busy": steps("get", service_busy(retry_after=20)),
    "get_404_at_first": steps("get", 404),
    "get_404_for_ever": steps("get", forever=404),
    "get_401_for_ever": steps("get", forever=401),
    "get_reply_cut": steps("get", ok(body="truncated")),
    "get_outage": steps("get", forever=503),
    "get_lost_for_ever": steps("get", forever=request_lost()),
    # -- the retry
    "retry_503": steps("retry", 503, bad=2),
    "retry_504_after_the_work": steps("retry", http_error(504, processed=True), bad=2),
    "retry_500": steps("retry", 500, bad=2),
    "retry_429": steps("retry", rate_limited(retry_after=20), bad=2),
    "retry_busy": steps("retry", service_busy(retry_after=20), bad=2),
    "retry_403_for_ever": steps("retry", bad=2, rounds=9, forever=403),
    "retry_reply_lost": steps("retry", reply_lost(), bad=2),
    # -- all of it
    "bad_day": bad_day,
}
