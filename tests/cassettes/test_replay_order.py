"""In which order a tape may be asked for: no client is accused of what it did not do, none gets away with more.

The tapes are made up here, with times of their own: what came before what is known without asking the player.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.player import Player
from pytest_spidra.cassettes.recording import Interaction, Recording, Times
from pytest_spidra.traffic.pending import UnanswerableError
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

BASE_URL = "https://api.spidra.io/api"
FORMAT = Format({})


@dataclass(frozen=True)
class Deed:
    """A request that was recorded, when it was sent and when its reply was seen, and by whom."""

    request: Request
    sent: float
    seen: float
    beside: bool = False

    @property
    def lane(self):
        """What its order is kept in: its batch, or its kind of submit."""
        parts = self.request.path.split("/")
        return parts[3] if len(parts) > 3 else str(self.request)


def submit(number=0):
    body = json.dumps({"urls": [f"https://shop.example/{number}"]})
    return Request("POST", "/batch/scrape", content=body.encode())


def get(batch="a"):
    return Request("GET", f"/batch/scrape/{batch}")


def retry(batch="a"):
    return Request("POST", f"/batch/scrape/{batch}/retry")


def cancel(batch="a"):
    return Request("DELETE", f"/batch/scrape/{batch}")


LIST = Request("GET", "/batch/scrape")


def player_of(deeds, *, timed=True, reading=FORMAT):
    """Return a player of deeds in the order in which they were sent; each reply is the deed's place."""
    interactions = []
    for place, server_side in enumerate(deeds):
        known = sum(other.sent < server_side.seen for other in deeds)
        times = Times(
            server_side.sent,
            server_side.seen - server_side.sent,
            known,
            "2026-11-20T00:00:00Z",
            server_side.beside,
        )
        stored, clean = reading.asked(server_side.request, BASE_URL)
        reply = Reply.of(200, place)
        interactions.append(Interaction(place + 1, stored, clean, reply, times if timed else None))
    return Player(Recording("tape", interactions), reading, base_url=BASE_URL, again="…", paced=True)


def in_a_row(*requests, **more):
    return [Deed(request, place, place + 0.5, **more) for place, request in enumerate(requests)]


def at_once(*requests):
    return [Deed(request, place / 100, 1 + place / 100) for place, request in enumerate(requests)]


def played(player, *requests):
    return [player.answer(request).json for request in requests]


REQUESTS = st.one_of(
    st.builds(submit, st.integers(0, 2)),
    st.builds(get, st.sampled_from("ab")),
    st.builds(retry, st.sampled_from("ab")),
    st.builds(cancel, st.sampled_from("a")),
    st.just(LIST),
)
MOMENTS = st.floats(0, 10, allow_nan=False)


@st.composite
def recordings(draw):
    """Draw what one to three tasks did, each one thing after the other; what they do is one tape."""
    deeds = []
    for _ in range(draw(st.integers(1, 3))):
        requests = draw(st.lists(REQUESTS, min_size=1, max_size=5))
        moments = sorted(draw(st.lists(MOMENTS, min_size=2 * len(requests), max_size=2 * len(requests))))
        deeds += [
            Deed(request, sent, seen)
            for request, sent, seen in zip(requests, moments[::2], moments[1::2], strict=True)
        ]
    # No two things happen in the same moment, not even in one task.
    order = sorted(
        range(2 * len(deeds)), key=lambda one: (deeds[one // 2].sent, deeds[one // 2].seen)[one % 2]
    )
    moment = {one: place for place, one in enumerate(order)}
    deeds = [
        replace(server_side, sent=moment[2 * place], seen=moment[2 * place + 1])
        for place, server_side in enumerate(deeds)
    ]
    return sorted(deeds, key=lambda server_side: server_side.sent)


def allowed(deeds, left, request):
    """Return which place a request must be answered from, by the times; None when it must be refused."""
    if all(before.seen < after.sent for before, after in itertools.pairwise(deeds)):
        left = left[:1]
    for place in left:
        lane = [deeds[other] for other in left if deeds[other].lane == deeds[place].lane]
        early = not any(other.seen < deeds[place].sent for other in lane)
        if deeds[place].request == request and early:
            return place
    return None


@given(recordings(), st.data())
def test_a_request_is_answered_when_the_times_allow_it_and_refused_when_they_do_not(deeds, data):
    """Whatever is asked next: the requests about one batch come in the order that the recorded client gave them."""
    player = player_of(deeds)
    left = list(range(len(deeds)))
    while left:
        request = deeds[data.draw(st.sampled_from(left))].request
        expected = allowed(deeds, left, request)
        if expected is None:
            with pytest.raises(UnanswerableError):
                player.answer(request)
            return
        assert player.answer(request).json == expected
        left.remove(expected)
    assert player.unplayed is None


@given(recordings(), st.randoms())
def test_no_client_is_accused_however_its_tasks_take_turns(deeds, chance):
    """There is always something that may be asked for, and in the end all has been."""
    player = player_of(deeds)
    left = list(range(len(deeds)))
    while left:
        place = chance.choice([one for one in left if allowed(deeds, left, deeds[one].request) == one])
        assert player.answer(deeds[place].request).json == place
        left.remove(place)
    assert player.unplayed is None


@given(st.lists(REQUESTS, min_size=2, max_size=8), st.data())
def test_what_was_done_in_a_row_is_asked_for_in_that_row(requests, data):
    """One request in another place, and the next thing that is heard is what was to come."""
    place = data.draw(st.integers(0, len(requests) - 2))
    player = player_of(in_a_row(*requests))
    played(player, *requests[:place])
    wrong = [request for request in requests[place:] if request != requests[place]]
    if wrong:
        with pytest.raises(UnanswerableError) as refusal:
            player.answer(wrong[0])
        assert f"recorded  #{place + 1} " in str(refusal.value)
    else:
        assert played(player, *requests[place:]) == list(range(place, len(requests)))


@given(st.permutations(range(6)))
def test_submits_of_several_tasks_may_come_in_any_order_though_they_never_overlapped(order):
    """A quick server answers each before the next is sent: that makes no order of it."""
    player = player_of(in_a_row(*map(submit, range(6)), beside=True))
    assert played(player, *map(submit, order)) == list(order)


def test_equal_submits_get_their_batches_in_the_order_in_which_they_were_sent():
    player = player_of(at_once(submit(), submit(), submit()))
    assert played(player, submit(), submit(), submit()) == [0, 1, 2]


def test_a_look_that_was_under_way_with_a_cancel_may_come_before_or_after_it():
    deeds = at_once(get(), cancel())
    assert played(player_of(deeds), get(), cancel()) == [0, 1]
    assert played(player_of(deeds), cancel(), get()) == [1, 0]


def test_a_retry_comes_after_the_look_that_led_to_it_whatever_other_batches_do():
    deeds = [*at_once(submit(1), submit(2)), Deed(get(), 3, 4), Deed(retry(), 5, 6)]
    player = player_of(deeds)
    with pytest.raises(UnanswerableError, match="as the next one of these"):
        player.answer(retry())


def test_a_look_that_lasted_over_several_others_may_come_at_any_time_among_them():
    deeds = [Deed(retry(), 0, 9), Deed(get(), 1, 2), Deed(get(), 3, 4), Deed(cancel(), 5, 6)]
    for order in ([0, 1, 2, 3], [1, 0, 2, 3], [1, 2, 0, 3], [1, 2, 3, 0]):
        assert played(player_of(deeds), *(deeds[place].request for place in order)) == order
    player = player_of(deeds)
    with pytest.raises(UnanswerableError):
        player.answer(cancel())  # the looks were over when it was sent


def test_what_came_after_the_first_of_two_overlapping_requests_comes_after_it_again():
    """That the second of them was still under way makes no difference."""
    deeds = [Deed(get(), 0, 2), Deed(cancel(), 1, 9), Deed(retry(), 3, 4)]
    with pytest.raises(UnanswerableError):
        player_of(deeds).answer(retry())
    assert played(player_of(deeds), get(), retry(), cancel()) == [0, 2, 1]


def test_without_times_each_batch_keeps_the_order_of_the_file():
    deeds = at_once(submit(), get("a"), get("b"), retry("a"))
    player = player_of(deeds, timed=False)
    assert played(player, get("b"), submit(), get("a"), retry("a")) == [2, 0, 1, 3]
    player = player_of(deeds, timed=False)
    with pytest.raises(UnanswerableError):
        player.answer(retry("a"))


def test_with_matchers_of_the_user_s_own_a_submit_takes_the_first_that_they_agree_to():
    """What they do not look at makes no difference; what they do look at does."""
    careless, careful = Format({"match_on": ["method", "path"]}), Format({"match_on": ["method", "body"]})
    deeds = at_once(submit(1), submit(2))
    assert played(player_of(deeds, reading=careless), submit(2), submit(1)) == [0, 1]
    assert played(player_of(deeds, reading=careful), submit(2), submit(1)) == [1, 0]


def test_a_list_has_a_course_of_its_own_for_each_page():
    """Pages are looked at by whoever wants to; only what one task does alone has a fixed order throughout."""
    first, second = replace(LIST, query="page=1"), replace(LIST, query="page=2")
    player = player_of(in_a_row(first, second, first, beside=True))
    assert played(player, second, first, first) == [1, 0, 2]
