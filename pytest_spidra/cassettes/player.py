"""The player: answers requests from a cassette, each with its own recorded reply.

What a request gets depends on the batch that it is about, never on what others do at the same time: submits
are told apart by their bodies, and the requests about one batch are played in the order in which they were
recorded. When the recorded client did one thing after the other, so must the one that is tested.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_spidra.cassettes.match_keys import SUBMITS, all_agree, match_key
from pytest_spidra.cassettes.secret_values import Values, learned, parts, restored, unified
from pytest_spidra.traffic import describe, endpoints
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.traffic.pending import UnanswerableError
from pytest_spidra.traffic.redaction import Redaction, request_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.cassettes.format import Format
    from pytest_spidra.cassettes.match_keys import MatchKey
    from pytest_spidra.cassettes.recording import Recording
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

MOST = 12  # lines of what was recorded, around the place where it went wrong

WHY = "A replay gives the recorded answers and nothing else: what the API would have answered here, nobody knows."


class Player:
    """Answers from a recording.

    Args:
        recording: What was recorded.

        reading: How it is read: filters, and what requests are matched on.

        base_url: The URL below which requests are answered.

        again: The command that records the recording anew.

        paced: Whether replies take as long as they took, on the test's clock.
    """

    routable = False

    def __init__(
        self,
        recording: Recording,
        reading: Format,
        *,
        base_url: str,
        again: str,
        paced: bool,
    ) -> None:
        self.recording = recording
        self._reading = reading
        self._base_url = base_url
        self._again = again
        self._paced = paced
        self._recorded = [self._key(one.stored, one.request) for one in recording.interactions]
        self._played = [False] * len(self._recorded)
        self._queues: dict[str, deque[int]] = defaultdict(deque)
        for place, one in enumerate(self._recorded):
            self._queues[one.queue].append(place)
        # One after the other: no request was sent while another was under way, and all by the same thread or task.
        self._in_a_row = all(
            one.times is not None and one.times.known == one.number and not one.times.concurrent
            for one in recording.interactions
        )
        self._next = 0
        self._values: Values = {}
        self.failed = False

    def knows(self, request: Request) -> bool:
        """Whether it is a request to one of the endpoints."""
        return endpoints.match(request.method, request.path) is not None

    def answer(self, request: Request) -> Reply:
        """Return the reply that was recorded.

        Raises:
            UnanswerableError: None was recorded for this request in this place.
        """
        asked = self._key(*self._reading.asked(request, self._base_url))
        place = self._find(asked)
        if place is None:
            self.failed = True
            raise UnanswerableError(self._refusal(asked))
        self._played[place] = True
        self._queues[self._recorded[place].queue].remove(place)  # at its very beginning, or near it
        while self._next < len(self._played) and self._played[self._next]:
            self._next += 1
        self._values = learned(self._recorded[place].request, request, self._values)
        reply = self._restored(self.recording.interactions[place].reply)
        return reply if self._paced else replace(reply, took=0.0)

    def _restored(self, reply: Reply) -> Reply:
        """Return a reply with the client's own secrets in their places."""
        if not self._values:
            return reply
        headers = {name: restored(value, self._values) for name, value in reply.headers.items()}
        content = reply.content
        if b"secret" in content:
            text = restored(
                content.decode("utf-8", "surrogateescape"), self._values, in_json=reply.json is not None
            )
            content = text.encode("utf-8", "surrogateescape")
        return replace(reply, content=content, headers=headers)

    @property
    def unplayed(self) -> str | None:
        """What the recorded test asked for and this one did not, in words; None when it was everything."""
        times = [one.times for one in self.recording.interactions]
        return self._left([when is None or not when.in_teardown for when in times])

    @property
    def unplayed_at_all(self) -> str | None:
        """What neither the test nor, after it, a fixture that cleared up has asked for."""
        return self._left([True] * len(self._played))

    def _left(self, due: list[bool]) -> str | None:
        left = [place for place, played in enumerate(self._played) if due[place] and not played]
        if not left or self.failed:
            return None
        count = f"{len(left)} of the {len(self._played)} exchanges in {self.recording.path}"
        were = "was not asked for:" if len(left) == 1 else "were not asked for; the first is"
        return "\n\n".join(
            [
                paragraph(f"{count} {were} {self._line(left[0])}."),
                paragraph(
                    "The client did less than when it was recorded: it ended early, or left something out."
                ),
                self._listing(left[0]),
                self._way_out(),
            ]
        )

    # -- finding ---------------------------------------------------------------------------------------

    def _find(self, asked: MatchKey) -> int | None:
        """Return the place of the interaction to play."""
        if self._in_a_row:
            due = self._next if self._next < len(self._recorded) else None
            return due if due is not None and self._same(asked, due) else None
        return next((place for place in self._candidates(asked) if self._same(asked, place)), None)

    def _candidates(self, asked: MatchKey) -> Iterator[int]:
        """Yield what may come next in a queue: the first, and whatever was under way together with it."""
        latest = float("inf")
        for place in list_front(self._queues.get(asked.queue)):
            one = self.recording.interactions[place]
            if one.number > latest:
                break
            yield place
            if one.times is None:
                break
            latest = min(latest, one.times.known)
        if asked.is_submit:  # any that was not played yet
            yield from list(self._queues.get(SUBMITS, ()))

    def _same(self, asked: MatchKey, place: int) -> bool:
        recorded = self._recorded[place]
        if recorded.is_submit != asked.is_submit or asked.request.method != recorded.request.method:
            return False
        if not asked.is_submit and asked.queue != recorded.queue:
            return False
        if self._reading.matchers is None and not recorded.has_secrets:
            return asked.identity == recorded.identity
        values = unified(parts(recorded.request), parts(asked.request), self._values)
        if self._reading.matchers is not None:
            values = self._values if values is None else values
            if not all_agree(self._reading.matchers, asked, recorded, values):
                return False
        if values is None:
            return False
        self._values = values
        return True

    def _key(self, stored: Any, request: Request) -> MatchKey:
        return match_key(stored, request, matchers=self._reading.matchers is not None)

    # -- telling ---------------------------------------------------------------------------------------

    def _refusal(self, asked: MatchKey) -> str:
        """Say what was asked, what was recorded, and what to do."""
        request = asked.request
        told = [
            paragraph(f"The client asked for what {self.recording.path} does not hold here."),
            paragraph(WHY),
            f"    asked     {request_line(request)}{_size(request)}\n    recorded  {self._due(asked)}",
        ]
        if difference := self._difference(asked):
            told.append(difference)
        return "\n\n".join([*told, self._listing(self._next), self._way_out()])

    def _due(self, asked: MatchKey) -> str:
        """Say what was to come."""
        if not self._recorded:
            return "nothing: the recorded client sent no request"
        if self._in_a_row and self._next < len(self._recorded):
            return f"{self._line(self._next)}, in this place"
        if queue := self._queues.get(asked.queue):
            return f"{self._line(queue[0])}, as the next one of these"
        if any(one.queue == asked.queue for one in self._recorded):
            what = "submit" if asked.is_submit else "batch"
            return f"no more about this {what}: all that was recorded has been asked for"
        if self._next == len(self._recorded):
            return "no more: all that was recorded has been asked for"
        return "no such request"

    def _difference(self, asked: MatchKey) -> str | None:
        """Say how a submit differs from the one that was recorded."""
        submits = [
            place
            for place, one in enumerate(self._recorded)
            if one.request.path == asked.request.path and one.request.method == asked.request.method == "POST"
        ]
        left = [place for place in submits if not self._played[place]]
        mine = asked.request.json
        if not left or not isinstance(mine, dict):
            return None
        if same := [place for place in left if self._recorded[place].identity == asked.identity]:
            return f"    It was recorded as #{same[0] + 1}: the order has changed."
        theirs = self._recorded[left[0]].request.json
        theirs = theirs if isinstance(theirs, dict) else {}
        clean = Redaction().body(mine, asked.request.keys)
        lines = []
        for name in sorted({*mine, *theirs}):
            if unified(theirs.get(name), mine.get(name), self._values) is None:
                lines += [f"    {name}", f"      asked     {_short(clean, name)}"]
                lines += [f"      recorded  {_short(theirs, name)}"]
        return "\n".join(lines) or None

    def _line(self, place: int) -> str:
        exchange = self.recording.interactions[place].exchange
        return f"#{exchange.number} {describe.request(exchange)} ({describe.result(exchange)})"

    def _listing(self, around: int) -> str:
        first = max(0, min(around - MOST // 2, len(self._recorded) - MOST))
        shown = range(first, min(first + MOST, len(self._recorded)))
        lines = [
            f"    {'played' if self._played[place] else '      '}  {self._line(place)}" for place in shown
        ]
        before, after = first, len(self._recorded) - first - len(lines)
        head = f"Recorded were {len(self._recorded)} exchanges" + (":" if lines else ".")
        cut = (f"            … {before} before these", f"            … {after} after these")
        return "\n".join([head, *([cut[0]] if before else []), *lines, *([cut[1]] if after else [])])

    def _way_out(self) -> str:
        return (
            paragraph(
                "To fix it, find out why the client does something else now. If that is right, record anew, with a "
                "key and for credits:"
            )
            + f"\n    {self._again}"
        )


def list_front(queue: deque[int] | None, most: int = 64) -> list[int]:
    """Return the first places of a queue: more than that many are not under way at once about one batch."""
    return [] if queue is None else [queue[place] for place in range(min(most, len(queue)))]


def _size(request: Request) -> str:
    body = request.json
    urls = body.get("urls") if isinstance(body, dict) else None
    return f" ({len(urls)} URL{'' if len(urls) == 1 else 's'})" if isinstance(urls, list) else ""


def _short(body: dict[str, Any], name: str) -> str:
    text = json.dumps(body[name], ensure_ascii=False) if name in body else "-"
    return text if len(text) <= 200 else f"{text[:199]}…"
