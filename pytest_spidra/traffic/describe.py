"""An exchange in a few words, the same wherever people read of it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_spidra.traffic.exchanges import Exchange


SHORTEST = 9  # letters of what a request is about that stand in a timeline


def request(exchange: Exchange) -> str:
    """Return the request in short: ``retry 00000001``, ``submit 3 URLs``."""
    word = exchange.endpoint.rpartition(".")[2]
    if exchange.family != "batch" and word in {"submit", "get"}:
        word = exchange.family
    if exchange.is_submit and word in {"submit", exchange.family}:
        return f"{word} {_submitted(exchange)}"
    if word and exchange.batch_id:
        # The first part of a UUID tells batches apart; anything else ("undefined") is a finding.
        return f"{word} {exchange.batch_id.partition('-')[0] or exchange.batch_id}"
    return word or f"{exchange.method} {exchange.path}"


def _submitted(exchange: Exchange) -> str:
    urls = urls_of(exchange)
    if not urls and (subject := "".join(subjects_in(exchange.request_json))):
        return subject if len(subject) <= SHORTEST else f"{subject[: SHORTEST - 1]}…"
    return f"{len(urls)} URL{'' if len(urls) == 1 else 's'}"


def urls_of(exchange: Exchange) -> list[str]:
    """Return the URLs of a submit, empty for anything else."""
    return listed_urls(exchange.request_json) if exchange.is_submit else []


def listed_urls(body: Any) -> list[str]:
    """Return the URLs that the body of a submit lists: texts, or objects that have one."""
    listed = body.get("urls") if isinstance(body, dict) else None
    urls = (
        [one.get("url") if isinstance(one, dict) else one for one in listed]
        if isinstance(listed, list)
        else ()
    )
    return [url for url in urls if isinstance(url, str)]


def subjects_in(body: Any) -> list[str]:
    """Return what the body of a submit is about: the URLs it lists, or its one query, site or document."""
    if not isinstance(body, dict):
        return []
    named = [
        body[name]
        for name in ("query", "baseUrl", "url", "fileId", "file", "files")
        if isinstance(body.get(name), str)
    ]
    return named[:1] or listed_urls(body)


def things(exchange: Exchange, count: int) -> str:
    """Return in words what a submit asks for, so many times: ``URL``, ``3 URLs``, ``search``."""
    if urls_of(exchange) or exchange.family == "batch":
        return "URL" if count == 1 else f"{count} URLs"
    return exchange.family


def noun(exchange: Exchange) -> str:
    """Return what it is about, in a word."""
    return "batch" if exchange.family == "batch" else "job"


def result(exchange: Exchange) -> str:
    """Return what the client saw: ``503 SERVICE_BUSY``, ``ReadTimeout``, ``200 running 1/3``."""
    if exchange.seen is None:
        return "no reply yet"
    return f"{exchange.seen} {_summary(exchange.seen_json)}".rstrip()


def _summary(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    if "failedCount" in body:
        status, failed = body.get("status"), body["failedCount"]
        return (
            f"{status}, {failed} failed"
            if failed
            else f"{status} {body.get('completedCount')}/{body.get('totalUrls')}"
        )
    if body.get("status") == "error":
        return str(body.get("code") or "")
    if "retriedCount" in body:
        return f"{body['retriedCount']} queued"
    if isinstance(body.get("jobs"), list):
        return f"{len(body['jobs'])} {'batches' if 'pagination' in body else 'jobs'}"
    return str(body.get("status") or "")


def server_side(exchange: Exchange) -> str:
    """Return what the service did when the client could not see it, and what was scripted; may be empty."""
    told = [] if exchange.scripted is None else [f"scripted {exchange.scripted}"]
    if exchange.answered is None:
        told += ["the service never saw it"]
    elif exchange.answered != exchange.seen:
        told += [f"the service answered {exchange.answered} {_summary(exchange.answered_json)}".rstrip()]
    return "; ".join(told)


def group_repeats(exchanges: Iterable[Exchange]) -> Iterator[list[Exchange]]:
    """Return runs of exchanges in a row that say the same."""

    def says(exchange: Exchange) -> tuple[Any, ...]:
        body = exchange.request_json and str(exchange.request_json)
        return exchange.method, exchange.path, body, result(exchange), server_side(exchange)

    return (list(run) for _, run in groupby(exchanges, key=says))
