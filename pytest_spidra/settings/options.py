"""The options, ini options and the marker, as pytest's help shows them. Imported when pytest starts."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spidra.settings import FIXTURES, MODES, REQUEST_LIMIT
from pytest_spidra.traffic.address import BASE_URL

MARKER = (
    'spidra(*, modes=("mock", "replay"), cassette=None, allow_unused_steps=False, clock="virtual", rules="warn", '
    "allow=(), request_limit=1000): settings of pytest-spidra for this test. "
    "modes: what answers a test with spidra_api, one test for each. "
    "cassette: the name of its cassette, in place of one made of the test's name. "
    "allow_unused_steps: do not fail the test when a scripted step was never reached. "
    'clock: "virtual" (waits are exact and cost no time) or "real". '
    'rules: what an accusation of the rules does, "warn", "error" or "off", or a list of the rules that judge. '
    "allow: names of rules that do not judge this test. "
    "request_limit: most requests without progress."
)


def add_options(parser: pytest.Parser) -> None:
    """Declare options and ini options."""
    group = parser.getgroup("spidra", "pytest-spidra")
    group.addoption(
        "--spidra-rules",
        dest="spidra_rules",
        metavar="{warn,error,off,RULE,…}",
        default=None,
        help="What an accusation of the rules does: warn (default), error (the test fails) or off; "
        "or the names of the rules that judge, with commas.",
    )
    group.addoption(
        "--spidra-record",
        dest="spidra_record",
        choices=("none", "once", "all"),
        default="none",
        help="Whether tests with spidra_api are sent to the real API and recorded, with the key in SPIDRA_API_KEY "
        "and for credits: none (default: they are replayed), once (those without a cassette), all (all anew).",
    )
    parser.addini(
        "spidra_base_url",
        "URL below which requests are answered, and to which they are sent while recording (pytest-spidra).",
        default=BASE_URL,
    )
    parser.addini(
        "spidra_modes",
        "What answers tests with spidra_api: mock, replay, or both (pytest-spidra).",
        type="args",
        default=list(MODES),
    )
    parser.addini(
        "spidra_cassette_dir",
        "Folder of the cassettes, from the root of the test run (pytest-spidra).",
        default="cassettes",
    )
    typed = pytest.version_tuple >= (8, 4)
    limit: dict[str, Any] = (
        {"type": "int", "default": REQUEST_LIMIT} if typed else {"default": str(REQUEST_LIMIT)}
    )
    parser.addini(
        "spidra_request_limit",
        "Most requests to Spidra without progress in one test; one more fails it (pytest-spidra).",
        **limit,
    )
    parser.addini(
        "spidra_clock",
        'The clock of tests with spidra_mock: "virtual" (waits are exact and cost no time) or "real" '
        "(pytest-spidra).",
        default="virtual",
    )
    parser.addini("spidra_rules", "As --spidra-rules (pytest-spidra).", default="warn")


def never_records(request: pytest.FixtureRequest) -> bool:
    """Tell whether a test uses the plugin, and is known not to record before it has asked for its cassette."""
    names = {request.fixturename, *request.fixturenames}
    if names.isdisjoint({*FIXTURES, "spidra_batch_factory"}):
        return False
    callspec = getattr(request.node, "callspec", None)
    mode = callspec.params.get("spidra_api") if callspec else None
    return "spidra_api" not in names or mode == "mock" or request.config.getoption("spidra_record") == "none"
