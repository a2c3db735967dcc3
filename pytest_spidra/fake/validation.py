"""What a submit may say: the body's fields, and the sentences for what is wrong with it.

Fields, types and defaults are those of docs.spidra.io/api-reference/scraping/batch-scrape, with ``scrapeMode``
from the SDKs. The page's errors table could not be read: 422 with one sentence for each problem follows the
SDKs and their tests. One bad URL refuses the whole request; duplicate URLs are taken as items of their own;
``proxyCountry`` without ``useProxy`` and ``fullPageScreenshot`` without ``screenshot`` are ignored. No source
says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_spidra.fake.urls import refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pytest_spidra.fake.account import Account

MOST_URLS = 50

_TYPES: dict[str, tuple[type, str]] = {
    "prompt": (str, "a string"),
    "output": (str, "a string"),
    "schema": (dict, "a JSON Schema object"),
    "useProxy": (bool, "a boolean"),
    "proxyCountry": (str, "a string"),
    "extractContentOnly": (bool, "a boolean"),
    "cookies": (str, "a string"),
    "screenshot": (bool, "a boolean"),
    "fullPageScreenshot": (bool, "a boolean"),
    "scrapeMode": (str, "a string"),
}

FIELDS = tuple(_TYPES)


def problems(body: Any, account: Account) -> list[str]:
    """Return one sentence for each thing wrong with a submit's body; empty when it can be accepted."""
    if not isinstance(body, dict):
        return ["The request body must be a JSON object."]
    found = _problems_of_urls(body.get("urls"))
    found += problems_of_options(body, account)
    if account.refuse_unknown_fields:
        found += unknown_fields(body, ("urls", *_TYPES))
    return found


def unknown_fields(body: dict[str, Any], known: Collection[str]) -> list[str]:
    """Return one sentence for each field that the API does not have."""
    return [f"Unknown field: {name}." for name in body if name not in known]


def problems_of_options(body: dict[str, Any], account: Account) -> list[str]:
    """Return one sentence for each thing wrong with what a batch's submit and a scrape's have in common."""
    found = problems_of_types(body, _TYPES)
    output = body.get("output")
    if isinstance(output, str) and output not in account.outputs:
        found.append(f"output must be one of {', '.join(account.outputs)}.")
    mode = body.get("scrapeMode")
    if isinstance(mode, str) and mode not in {"default", "fast"}:
        found.append("scrapeMode must be one of default, fast.")
    schema = body.get("schema")
    # That the root must be an object is documented for crawls only.
    if isinstance(schema, dict) and schema.get("type", "object") != "object":
        found.append("schema must have an object at its root.")
    return found


def problems_of_types(body: dict[str, Any], types: Mapping[str, tuple[type, str]]) -> list[str]:
    """Return one sentence for each field that is of another type; null is of none."""
    return [
        f"{name} must be {words}."
        for name, (kind, words) in types.items()
        if name in body
        and (not isinstance(body[name], kind) or (kind is int and isinstance(body[name], bool)))
    ]


def schema_warnings(body: dict[str, Any], account: Account) -> list[str]:
    """Return what ``schema_warnings`` holds, a sentence for each keyword that is ignored; the wording is not known.

    The vendor's SDKs name ``anyOf``, which a Pydantic field ``int | None`` becomes, and ``$ref``, which a nested
    model becomes.
    """
    if "schema" not in body:
        return []
    if account.schema_warnings is not None:
        return list(account.schema_warnings)
    return list(_ignored(body["schema"], "schema"))


def _ignored(schema: Any, where: str) -> Iterator[str]:
    children: Iterable[tuple[str, Any]] = schema.items() if isinstance(schema, dict) else ()
    if isinstance(schema, list):
        children = ((str(place), one) for place, one in enumerate(schema))
    for name, value in children:
        if name in {"anyOf", "$ref"} and not where.endswith(".properties"):
            yield f'Unsupported keyword "{name}" at {where} is ignored.'
        if name not in {"enum", "const", "default", "examples"}:
            yield from _ignored(value, f"{where}.{name}")


def accepted(body: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the service keeps of an acceptable body.

    Cookies are never kept, and a schema forces ``output`` to ``json`` (documentation of submit).
    """
    options = {name: body[name] for name in _TYPES if name in body and name != "cookies"}
    options["output"] = "json" if "schema" in body else options.get("output", "json")
    return options


def _problems_of_urls(urls: Any) -> list[str]:
    if urls is None or urls == []:
        return ["At least one URL is required."]
    if not isinstance(urls, list):
        return ["urls must be an array of strings."]
    found = []
    if len(urls) > MOST_URLS:
        found.append(f"A batch takes at most {MOST_URLS} URLs.")
    for place, url in enumerate(urls):
        if not isinstance(url, str):
            found.append(f"urls[{place}] must be a string.")
        elif (why := refused(url)) is not None:
            found.append(f"urls[{place}] {why}.")
    return found


def page_number(text: str | None, default: int, most: int | None) -> int:
    """Return a number of a query, moved into its bounds; no source says what becomes of one that is out of them."""
    try:
        number = max(int(text), 1) if text else default
    except ValueError:
        return default
    return number if most is None else min(number, most)
