"""What an accusation does to a test: warn, error, off, or the rules that are named; and what pytest shows of it."""

from __future__ import annotations

import re
import warnings
from importlib.util import find_spec

import pytest

HEAD = """
import httpx, pytest, time
from pytest_spidra import reply_lost

def ask(mock, key="spd_a_real_secret_1", path="/batch/scrape", method="POST"):
    headers = {"x-api-key": key} if key else {}
    return httpx.request(method, mock.base_url + path, headers=headers, json={"urls": ["https://a.example/"]})

def blind(mock):
    mock.batch.submit.script(reply_lost())
    try:
        ask(mock)
    except httpx.ReadTimeout:
        time.sleep(1)
    ask(mock)

"""

ONE = f"""{HEAD}
MARK
def test_blind(spidra_mock):
    blind(spidra_mock)
"""

VERDICT = [
    "double-submission: The service accepted the same URL twice, in #1 and",
    "#2; of #1 the client saw ReadTimeout.",
    "",
    "  Both batches are scraped and both are billed: the same pages are paid",
    "  twice.",
    "  To fix it, after a submit whose reply was lost, look for the batch in",
    "  GET /batch/scrape before sending it again.",
    "",
    "        #  seconds    wait by    request         the client saw",
    ">      #1     0.00               submit 1 URL    ReadTimeout",
    "          scripted reply_lost(); the service answered 202 queued",
    ">      #2     6.00   +1.00 own   submit 1 URL    202 queued",
    "",
    "To allow it, mark the test",
    '@pytest.mark.spidra(allow=["double-submission"]).',
]
TABLE = VERDICT[8:12]

SUMMARY = [
    "*= spidra rules =*",
    "double-submission (1)",
    (
        "test_levels.py::test_blind: The service accepted the same URL twice, in #1 and #2; of #1 the client saw "
        "ReadTimeout."
    ),
]

WARNS, FAILS, SILENT = "warns", "fails", "is silent"


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a test module with a real pytest in this process, wide enough for whole messages."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source, *args, ini="", columns=None):
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{ini}")
        pytester.makepyfile(test_levels=source)
        with warnings.catch_warnings():
            warnings.resetwarnings()  # warnings are errors in our own run
            return pytester.runpytest("-p", "no:hypothesispytest", "-p", "no:cacheprovider", *args)

    return run


def effect(result):
    """Return what an accusation did."""
    outcomes = result.parseoutcomes()
    if outcomes.get("failed"):
        return FAILS
    return WARNS if outcomes.get("warnings") else SILENT


LEVELS = {
    "by default": (WARNS, "", (), ""),
    "ini error": (FAILS, "", (), "spidra_rules = error"),
    "ini off": (SILENT, "", (), "spidra_rules = off"),
    "ini names a rule that is broken": (WARNS, "", (), "spidra_rules = blind-resend"),
    "ini names another": (SILENT, "", (), "spidra_rules = busy-polling, missing-key"),
    "CLI error": (FAILS, "", ("--spidra-rules=error",), ""),
    "CLI warn over ini error": (WARNS, "", ("--spidra-rules=warn",), "spidra_rules = error"),
    "CLI off over ini error": (SILENT, "", ("--spidra-rules=off",), "spidra_rules = error"),
    "CLI names, the level from ini": (FAILS, "", ("--spidra-rules=blind-resend",), "spidra_rules = error"),
    "CLI names, ini off": (WARNS, "", ("--spidra-rules=blind-resend",), "spidra_rules = off"),
    "marker off over CLI error": (SILENT, 'rules="off"', ("--spidra-rules=error",), ""),
    "marker warn over CLI error": (WARNS, 'rules="warn"', ("--spidra-rules=error",), ""),
    "marker error over CLI off": (FAILS, 'rules="error"', ("--spidra-rules=off",), ""),
    "marker error over ini off": (FAILS, 'rules="error"', (), "spidra_rules = off"),
    "marker names, the level from CLI": (FAILS, 'rules=["blind-resend"]', ("--spidra-rules=error",), ""),
    "marker names another": (SILENT, 'rules=["busy-polling"]', ("--spidra-rules=error",), ""),
    "marker allows it over CLI error": (
        SILENT,
        'allow=["double-submission", "blind-resend"]',
        ("--spidra-rules=error",),
        "",
    ),
    "marker allows another": (FAILS, 'allow="busy-polling"', ("--spidra-rules=error",), ""),
    "marker names over CLI names": (SILENT, 'rules=["no-backoff"]', ("--spidra-rules=blind-resend",), ""),
    "-W error": (FAILS, "", ("-W", "error"), ""),
    "-W error of our class": (FAILS, "", ("-W", "error::pytest_spidra.RuleWarning"), ""),
    "-W ignore of our class": (SILENT, "", ("-W", "ignore::pytest_spidra.RuleWarning"), ""),
    "ini ignores our class": (SILENT, "", (), "filterwarnings = ignore::pytest_spidra.RuleWarning"),
    "ini makes errors of warnings": (FAILS, "", (), "filterwarnings = error"),
    "-W ignore does not soften an error": (
        FAILS,
        'rules="error"',
        ("-W", "ignore::pytest_spidra.RuleWarning"),
        "",
    ),
}


@pytest.mark.parametrize(("expected", "marker", "args", "ini"), LEVELS.values(), ids=LEVELS)
def test_who_decides_what_an_accusation_does(run, expected, marker, args, ini):
    """The marker before the command line before the ini file, for the level and for the names on their own."""
    mark = f"@pytest.mark.spidra({marker})" if marker else ""
    result = run(ONE.replace("MARK", mark), *args, ini=ini)
    assert effect(result) == expected
    assert result.parseoutcomes().get("errors", 0) == 0


@pytest.mark.parametrize("args", [("--spidra-rules=error",), ("-W", "error")])
def test_the_verdict_fails_the_test_with_its_whole_message(run, args):
    result = run(ONE.replace("MARK", ""), *args)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"{line}" if line else "" for line in VERDICT], consecutive=True)


def test_the_warning_has_the_whole_message(run):
    result = run(ONE.replace("MARK", ""))
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*test_levels.py:*: RuleWarning: "])
    result.stdout.fnmatch_lines([f"  {line}" if line else "*" for line in VERDICT], consecutive=True)


def test_the_warning_points_at_the_test(run):
    result = run(ONE.replace("MARK", ""))
    number = 1 + ONE.replace("MARK", "").strip().split("\n").index("def test_blind(spidra_mock):")
    result.stdout.fnmatch_lines([f"*test_levels.py:{number}: RuleWarning: "])


WORKERS = [
    pytest.param((), id="alone"),
    pytest.param(
        ("-n", "2"),
        id="xdist",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(find_spec("xdist") is None, reason="there are no workers"),
        ],
    ),
]


@pytest.mark.parametrize("args", [(), ("--spidra-rules=error",), ("-W", "error")])
@pytest.mark.parametrize("workers", WORKERS)
def test_the_summary_lists_the_accusations_grouped_by_rule(run, args, workers):
    result = run(ONE.replace("MARK", ""), *args, *workers)
    result.stdout.fnmatch_lines(SUMMARY, consecutive=True)


@pytest.mark.parametrize("workers", WORKERS)
def test_the_summary_counts_over_the_run(run, workers):
    source = f"""{HEAD}
@pytest.mark.parametrize("number", range(3))
def test_blind(spidra_mock, number):
    blind(spidra_mock)

def test_clean(spidra_mock):
    ask(spidra_mock)

@pytest.mark.spidra(rules="off")
def test_allowed(spidra_mock):
    blind(spidra_mock)

def test_no_key(spidra_mock):
    ask(spidra_mock, key=None)
"""
    result = run(source, *workers)
    text = result.stdout.str()
    counts = [line for line in result.outlines if re.fullmatch(r"[a-z-]+ \(\d\)", line)]
    assert sorted(counts) == ["double-submission (3)", "missing-key (1)"]
    assert text.count("test_levels.py::test_blind[") >= 3
    assert "test_clean: " not in text
    assert "test_allowed: " not in text


def test_a_line_of_the_summary_fits_the_screen(run):
    result = run(ONE.replace("MARK", ""), "--color=no", columns=80)
    lines = result.outlines
    begin = next(place for place, line in enumerate(lines) if " spidra rules " in line)
    shown = lines[begin : begin + 3]
    assert max(map(len, shown)) <= 80
    assert [line.endswith("…") for line in shown[1:]] == [False, True]


OWN_LINES = ("rootdir", "plugins", "asyncio", "FAILED")  # pytest's, which it does not cut in colour


@pytest.mark.parametrize("color", ["yes", "no"])
@pytest.mark.parametrize("args", [(), ("--spidra-rules=error",)])
def test_no_line_is_wider_than_eighty_columns(run, args, color):
    """Of the warning, of the failure and of the summary, colours aside."""
    result = run(ONE.replace("MARK", ""), f"--color={color}", *args, columns=80)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in result.outlines]
    assert [line for line in plain if len(line) > 80 and not line.startswith(OWN_LINES)] == []
    assert any("double-submission: " in line for line in plain)


def test_a_run_without_accusations_has_no_summary(run):
    result = run(f"{HEAD}\ndef test_clean(spidra_mock):\n    ask(spidra_mock)\n")
    result.assert_outcomes(passed=1)
    assert "spidra rules" not in result.stdout.str()


def test_a_test_that_fails_by_itself_shows_the_marked_timeline(run):
    """Its own error stays first; the accusations stand in the summary."""
    source = f"{HEAD}\ndef test_blind(spidra_mock):\n    blind(spidra_mock)\n    assert 1 == 2\n"
    result = run(source)
    result.assert_outcomes(failed=1, warnings=0)
    result.stdout.fnmatch_lines(["E       assert 1 == 2", "*- spidra timeline -*", *TABLE])
    result.stdout.fnmatch_lines(SUMMARY, consecutive=True)


def test_a_clean_test_that_fails_shows_a_timeline_without_marks(run):
    source = f"{HEAD}\ndef test_it(spidra_mock):\n    ask(spidra_mock)\n    assert 1 == 2\n"
    result = run(source)
    result.stdout.fnmatch_lines(["*- spidra timeline -*", TABLE[0], "       #1 *202 queued"])


FAILURES = {
    "a verdict": ("blind(spidra_mock)", ("--spidra-rules=error",)),
    "a verdict by -W error": ("blind(spidra_mock)", ("-W", "error")),
    "an assertion": ("ask(spidra_mock)\n    spidra_mock.assert_attempts('batch.submit', 3)", ()),
    "assert_rules": ("blind(spidra_mock)\n    spidra_mock.assert_rules()", ()),
    "assert_credits": ("ask(spidra_mock)\n    spidra_mock.assert_credits(charged=9)", ()),
    "an assertion of what never happened": ("spidra_mock.assert_not_retried('batch.retry')", ()),
}


@pytest.mark.parametrize("style", ["long", "short"])
@pytest.mark.parametrize(("body", "args"), FAILURES.values(), ids=FAILURES)
def test_no_line_of_the_plugin_s_own_stands_in_a_traceback(run, body, args, style):
    result = run(f"{HEAD}\ndef test_it(spidra_mock):\n    {body}\n", *args, f"--tb={style}")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert not re.search(r"pytest_spidra/\w+\.py|pytest_spidra\\\w+\.py", text)
    assert "__tracebackhide__" not in text
    assert "def assert_" not in text


SECRET = "spd_a_real_secret_1"

LEAKS = {
    "in a header": "blind(spidra_mock)",
    "in the query and a header": 'ask(spidra_mock, path="/batch/scrape?api_key=spd_a_real_secret_1", method="GET")',
    "in the query alone": 'ask(spidra_mock, None, "/batch/scrape?api_key=spd_a_real_secret_1", "GET")',
    "in the path": 'ask(spidra_mock, path="/batch/scrape/spd_a_real_secret_1", method="GET")',
    "in the path of no endpoint": 'ask(spidra_mock, None, "/spd_a_real_secret_1/batch?token=spd_a_real_secret_1")',
}


@pytest.mark.parametrize("end", ["", "; assert spidra_mock.exchanges == 1"])
@pytest.mark.parametrize("body", LEAKS.values(), ids=LEAKS)
def test_no_key_stands_in_any_output(run, body, end):
    """Whatever the level and wherever the client put it. pytest's own view of the test's lines is left out."""
    source = f"{HEAD}\ndef test_it(spidra_mock):\n    {body}{end}\n"
    for args in ((), ("--spidra-rules=error",)):
        result = run(source, *args, "--tb=line", "-rA")
        assert SECRET not in result.stdout.str() + result.stderr.str()


def test_the_rules_judge_what_a_real_clock_shows(run):
    """Short waits are no evidence there, a lost submit is."""
    source = ONE.replace("MARK", '@pytest.mark.spidra(clock="real")').replace("time.sleep(1)", "pass")
    result = run(source)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["double-submission (1)"])


WRONG = {
    'rules="busy-poling"': "*@pytest.mark.spidra(rules=…): 'busy-poling' is no rule. Did you mean *",
    "rules=[]": "*@pytest.mark.spidra(rules=…): no rule is named.*",
    'rules=["warn", "busy-polling"]': "*'warn' is no rule.*",
}


@pytest.mark.parametrize("marker", WRONG)
def test_what_is_no_rule_is_an_error_that_names_them(run, marker):
    result = run(ONE.replace("MARK", f"@pytest.mark.spidra({marker})"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([WRONG[marker]])


def test_a_skipped_test_is_not_judged(run):
    result = run(f"{HEAD}\ndef test_it(spidra_mock):\n    blind(spidra_mock)\n    pytest.skip('enough')\n")
    result.assert_outcomes(skipped=1, warnings=0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("mock.batch.retry.script(503)", "A scripted step was never reached:"),
        ("import httpx; httpx.get(mock.base_url + '/batch/scrape')", "missing-key: list (#1) has neither*"),
    ],
)
def test_a_fixture_that_the_test_itself_asks_for_is_judged_too(run_tests, body, message):
    """As is one in its signature."""
    source = f"def test_it(request):\n    mock = request.getfixturevalue('spidra_mock')\n    {body}\n"
    result = run_tests(source, "--spidra-rules=error")
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines([message])


@pytest.mark.parametrize("value", ["5", "True"])
def test_rules_that_are_neither_level_nor_names_are_told(run_tests, value):
    result = run_tests(
        f"import pytest\n@pytest.mark.spidra(rules={value})\ndef test_it(spidra_mock):\n    pass\n"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"spidra_mock cannot start: *{value}* is no rule*"])
    assert str(result.stdout).count("cannot start") == 2  # once above, once in the summary
    result.stdout.no_fnmatch_line("*During handling*")
