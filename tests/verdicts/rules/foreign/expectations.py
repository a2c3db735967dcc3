"""What the rules are to say of each client under each script: written from a review, not from what they say.

A careful client is accused of nothing under any script, with the exceptions that stand here. For a careless one
stands, rule by rule, under which scripts its log shows the fault; under all others it is accused of nothing. Rules
joined by ``|`` are one deed that is two faults: exactly one of them speaks.
"""

from __future__ import annotations

from inspect import isfunction

import careful_crowds
import careful_httpx
import careful_libraries
import careful_sdk
import careless_money
import careless_order
import careless_pace
from weather import SCRIPTS


def _clients(*modules):
    return {
        name: one
        for module in modules
        for name, one in vars(module).items()
        if isfunction(one) and one.__module__ == module.__name__ and not name.startswith("_")
    }


CAREFUL = _clients(careful_httpx, careful_libraries, careful_crowds, careful_sdk)
CARELESS = _clients(careless_money, careless_order, careless_pace)

# Submit and retry are answered at once, and every look is.
ANSWERED = (
    "healthy at_once slow uneven one_fails_once one_fails_early half_fail_twice one_fails_for_ever all_fail_for_ever "
    "batch_breaks batch_breaks_without_a_failed_item batch_is_cancelled batch_is_cancelled_after_a_failure "
    "credits_run_out retry_503 retry_504_after_the_work retry_500 retry_429 retry_busy retry_403_for_ever "
    "retry_reply_lost"
)
# And the first look shows the batch at work, be it for ever.
AT_WORK = ANSWERED.replace("at_once ", "") + " one_is_stuck"
# The batch ends with some pages completed (and some failed), and there are credits for more.
HALF_GOOD = (
    "one_fails_once one_fails_early half_fail_twice one_fails_for_ever retry_503 retry_504_after_the_work retry_500 "
    "retry_429 retry_busy retry_403_for_ever retry_reply_lost"
)
GOOD = "healthy at_once slow uneven"
# The reply to an accepted submit is lost on the way.
LOST = "submit_reply_lost submit_reply_late lost_submit_and_no_list"
# The looks go wrong, and the submit has not.
LOOKS = (
    "get_503 get_503_page_then_lost get_500 get_504 get_429 get_busy get_404_at_first get_404_for_ever "
    "get_401_for_ever get_reply_cut get_outage get_lost_for_ever"
)
# The official SDK gets its batch all the same.
SDK_SUBMITS = "submit_503 submit_queue_unavailable submit_502_page_twice submit_busy submit_busy_long"
EVERYWHERE = " ".join(SCRIPTS)

# What runs with all other tests: in each client's faults each script stands for others, and all of them are met.
DAILY = [
    "healthy",
    "slow",
    "one_is_stuck",
    "batch_is_cancelled_after_a_failure",
    "submit_502_after_the_work",
    "submit_504",
    "submit_429",
    "submit_429_date",
    "submit_402",
    "submit_reply_cut",
    "submit_reply_late",
    "submit_outage",
    "get_429",
    "get_404_at_first",
    "get_404_for_ever",
    "get_reply_cut",
    "get_outage",
    "get_lost_for_ever",
    "retry_504_after_the_work",
    "retry_429",
    "retry_403_for_ever",
    "bad_day",
]

# A 502 counts as refused, and when it was not, who sends again pays twice: the SDK does, and says so nowhere.
SENDS_AGAIN_AFTER_502 = {
    "class_with_a_retry_policy",
    "tenacity_waits_as_asked",
    "transport_of_httpx_retries_posts_where_refused",
    *_clients(careful_sdk),
}

EXCEPTIONS = (
    {name: {"double-submission": "submit_502_after_the_work"} for name in SENDS_AGAIN_AFTER_502}
    | {
        # It looks at no status code, so a refused submit makes it ask for the batch `None`, and 401 or 404 go on for ever.
        "documented_loop": {
            "permanent-error-resent": (
                "submit_503 submit_502_after_the_work submit_504 submit_504_after_the_work submit_500 submit_429 "
                "submit_429_date submit_busy submit_busy_long submit_queue_unavailable submit_too_many_pending submit_402 "
                "submit_422 no_credits wrong_key submit_outage get_404_for_ever get_401_for_ever"  # bad_day ends its first look
            ),
            "retry-after-ignored": "submit_429 submit_429_date get_429 get_busy retry_429 retry_busy",
            "retry-of-cancelled": "batch_is_cancelled_after_a_failure",
        },
    }
)

FAULTS = {
    # -- money
    "resends_whatever_went_wrong": {
        "double-submission": f"submit_502_after_the_work submit_504_after_the_work {LOST}",
        "blind-resend": "submit_504 submit_500",
    },
    "resends_in_another_order": {"double-submission": LOST},
    "resends_in_halves": {
        "double-submission": f"submit_504_after_the_work {LOST}",
        "blind-resend": "submit_504 submit_500",
    },
    "resends_without_what_the_cache_has": {"double-submission": LOST},
    "tenacity_around_the_submit": {
        "double-submission": f"submit_502_after_the_work submit_504_after_the_work {LOST}",
        "blind-resend": "submit_504 submit_500",
    },
    "stamina_on_timeouts_of_the_submit": {"double-submission": LOST},
    "backoff_around_the_submit": {
        "double-submission": f"submit_502_after_the_work submit_504_after_the_work {LOST}",
        "blind-resend": "submit_504 submit_500",
    },
    "httpx_retries_for_posts": {  # 500 is not on its list
        "double-submission": f"submit_502_after_the_work submit_504_after_the_work {LOST}",
        "blind-resend": "submit_504",
    },
    "wait_for_around_the_submit": {"double-submission": LOST},  # its own doing; other errors end it
    "sdk_again_after_any_error": {  # the SDK waits 60 seconds for a reply, so a late one comes
        "double-submission": (
            "submit_502_after_the_work submit_504_after_the_work submit_reply_lost lost_submit_and_no_list"
        ),
        "blind-resend": "submit_504 submit_500",
    },
    "whole_job_in_tenacity": {
        "double-submission": "submit_502_after_the_work submit_504_after_the_work",
        "blind-resend": "submit_504 submit_500",
        "resubmitted-unfinished": "get_503 get_503_page_then_lost get_500 get_504 get_busy get_outage",
    },
    "whole_job_again_after_a_lost_look": {"resubmitted-unfinished": "get_lost_for_ever"},
    "sdk_whole_job_again": {
        "double-submission": "submit_502_after_the_work",
        "resubmitted-unfinished": "slow",
        "paid-again|resubmitted-unfinished": "one_is_stuck",  # it has seen five of six pages completed
    },
    "unfinished_pages_again": {"resubmitted-unfinished": "slow uneven one_is_stuck one_fails_early"},
    "does_not_believe_its_202": {  # of the first batch it has seen the 202, and nothing else
        "double-submission|resubmitted-unfinished": "submit_reply_cut",
        "resubmitted-unfinished": "get_reply_cut",
    },
    "everything_again_after_a_cancel": {
        "paid-again": "uneven one_is_stuck"
    },  # slow: nothing was done by then
    "everything_again_when_something_failed": {"paid-again": HALF_GOOD},
    "runs_twice_to_be_sure": {"paid-again": f"{GOOD} {HALF_GOOD}"},
    "sdk_runs_twice_in_two_functions": {
        "double-submission": "submit_502_after_the_work",
        "paid-again": (
            f"{GOOD} {HALF_GOOD} {SDK_SUBMITS} submit_502_after_the_work submit_reply_late get_503 "
            "get_503_page_then_lost get_500 get_504 get_429 get_busy bad_day"
        ),
    },
    "a_page_twice_in_one_submit": {  # where nothing was accepted, nothing is billed
        "duplicate-urls": (
            f"{ANSWERED.replace('credits_run_out ', '')} one_is_stuck {LOOKS} {LOST} submit_502_after_the_work "
            "submit_504_after_the_work submit_reply_cut"
        )
    },
    "sdk_a_page_three_times": {
        "double-submission": "submit_502_after_the_work",
        "duplicate-urls": (
            f"{ANSWERED.replace('credits_run_out ', '')} one_is_stuck {LOOKS} {LOST} {SDK_SUBMITS} "
            "submit_502_after_the_work submit_504_after_the_work submit_reply_cut bad_day"
        ),
    },
    "retries_blindly": {"blind-resend": "retry_504_after_the_work retry_500 retry_reply_lost"},
    # -- order
    "retries_what_still_runs": {"retry-before-terminal": AT_WORK},
    "sdk_retries_at_the_first_failed_item": {
        "double-submission": "submit_502_after_the_work",
        "retry-before-terminal": "one_fails_early batch_is_cancelled_after_a_failure",
    },
    "retries_whatever_the_result": {"nothing-to-retry": f"{GOOD} batch_breaks_without_a_failed_item"},
    "sdk_retries_whatever_the_result": {
        "double-submission": "submit_502_after_the_work",
        "nothing-to-retry": (
            f"{GOOD} batch_breaks_without_a_failed_item {SDK_SUBMITS} submit_502_after_the_work submit_reply_late "
            "get_503 get_504 get_busy"
        ),
    },
    "retries_what_was_cancelled": {
        "retry-of-cancelled": "batch_is_cancelled batch_is_cancelled_after_a_failure"
    },
    "cancels_and_then_retries": {"retry-of-cancelled": "slow one_is_stuck"},
    "refused_retry_again_and_again": {"permanent-error-resent": "credits_run_out retry_403_for_ever"},
    "sdk_refused_retry_again_and_again": {
        "double-submission": "submit_502_after_the_work",
        "permanent-error-resent": "credits_run_out retry_403_for_ever",
    },
    "submits_until_it_is_taken": {"permanent-error-resent": "submit_402 submit_422 no_credits wrong_key"},
    "stamina_on_every_error": {"permanent-error-resent": "get_404_for_ever get_401_for_ever"},
    "polls_through_every_error": {"permanent-error-resent": "get_404_for_ever get_401_for_ever"},
    # -- pace
    "submits_again_after_three_seconds": {
        "retry-after-ignored": "submit_429 submit_429_date submit_busy submit_busy_long"
    },
    "tenacity_that_knows_no_headers": {
        "retry-after-ignored": "submit_429 submit_429_date submit_busy submit_busy_long get_429 get_busy"
    },
    "polls_on_through_429": {"retry-after-ignored": "get_429 get_busy"},
    "retries_again_after_two_seconds": {"retry-after-ignored": "retry_429 retry_busy"},
    "next_chunk_after_a_429": {"retry-after-ignored": "submit_429 submit_429_date"},
    "the_other_batch_after_a_429": {"retry-after-ignored": "get_429"},
    "polls_five_times_a_second": {"busy-polling": AT_WORK},
    "polls_without_a_pause": {"busy-polling": AT_WORK},
    "sdk_with_a_tiny_interval": {  # after a 429 or a busy service the SDK waits longer than the batch takes
        "double-submission": "submit_502_after_the_work",
        "busy-polling": (
            f"{AT_WORK} {SDK_SUBMITS} submit_502_after_the_work get_503 get_503_page_then_lost get_500 get_504 bad_day"
        ),
    },
    "gather_with_tiny_sleeps": {  # what one submit suffers leaves the other coroutine, and its pace
        "busy-polling": (
            f"{AT_WORK} {LOST} submit_503 submit_queue_unavailable submit_busy submit_busy_long "
            "submit_502_after_the_work submit_504 submit_504_after_the_work submit_500 submit_429 submit_429_date "
            "submit_too_many_pending submit_request_lost submit_reply_cut"
        )
    },
    "one_hasty_thread_among_three": {  # it is the last to submit
        "busy-polling": (
            f"{AT_WORK} {LOST} submit_503 submit_queue_unavailable submit_busy submit_busy_long "
            "submit_502_page_twice submit_502_after_the_work submit_504 submit_504_after_the_work submit_500 "
            "submit_429 submit_429_date submit_too_many_pending submit_request_lost submit_reply_cut"
        )
    },
    "list_five_times_a_second": {"busy-polling": f"{AT_WORK} {LOOKS}"},
    "hammers_the_submit": {"no-backoff": "submit_outage"},
    "submit_every_fifth_of_a_second": {"no-backoff": "submit_outage"},
    "tenacity_without_a_wait": {"no-backoff": "get_outage get_lost_for_ever"},
    "httpx_retries_by_default": {"no-backoff": "get_outage get_lost_for_ever"},
    "looks_that_fail_every_fifth_of_a_second": {"no-backoff": "get_outage get_lost_for_ever"},
    "looks_until_it_is_sure": {"poll-after-terminal": ANSWERED},
    "watches_for_three_minutes": {
        "double-submission": "submit_502_after_the_work",
        "poll-after-terminal": (
            f"{ANSWERED} {SDK_SUBMITS} submit_502_after_the_work submit_reply_late get_503 get_504 get_busy bad_day"
        ),
    },
    "no_key_at_all": {"missing-key": EVERYWHERE},
    "key_in_the_url": {"key-in-url": EVERYWHERE},
}


def expected(client, script):
    """Return what is to be said of a cell: sets of rules, each to be met by exactly one of its own."""
    told = EXCEPTIONS.get(client, {}) | FAULTS.get(client, {})
    return [frozenset(rules.split("|")) for rules, scripts in told.items() if script in scripts.split()]


def fits(found, wanted):
    """Whether what was found is what was wanted: one rule for each deed, and no other."""
    return all(len(found & deed) == 1 for deed in wanted) and found <= frozenset().union(*wanted)


def _check():
    unknown = [name for name in FAULTS if name not in CARELESS] + [
        name for name in EXCEPTIONS if name not in CAREFUL
    ]
    unknown += [name for name in CARELESS if name not in FAULTS]
    for rules in (*FAULTS.values(), *EXCEPTIONS.values()):
        unknown += [
            script for scripts in rules.values() for script in scripts.split() if script not in SCRIPTS
        ]
    assert not unknown, unknown


_check()
