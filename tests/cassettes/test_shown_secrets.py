"""Nothing secret is shown of a run that records: terminal, reports, warnings, logs, files."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_secret_places import KEY, OTHERS, REFUSED, REPLIES, REQUESTS, SPOTS, TAKEN_OUT, came, sent
from users_suite import INI

from pytest_spidra.secrets.shown_text import ShownText
from pytest_spidra.sessions.report_redaction import RedactingFormatter

SECRETS = [*OTHERS.values(), KEY]  # in turn
CASES = [
    *((place, make(SECRETS[turn % 3]), came()) for turn, (place, make) in enumerate(REQUESTS.items())),
    *((place, sent(), make(SECRETS[turn % 3])) for turn, (place, make) in enumerate(REPLIES.items())),
    *(
        (f"{spot}, {spelling}", *make(spell(KEY)))
        for spot, make in SPOTS.items()
        for spelling, spell in {**TAKEN_OUT, **REFUSED}.items()
    ),
]
BETRAYING = [*OTHERS.values(), KEY, *(spell(KEY) for spell in REFUSED.values())]

SUITE = """
import base64, logging, sys, warnings
sys.path.append({folder!r})
import httpx, pytest
from test_shown_secrets import CASES

log = logging.getLogger("shop")

@pytest.mark.parametrize("number", range(len(CASES)))
def test_it(spidra_api, number):
    _, request, reply = CASES[number]
    headers = {{**request.headers, "x-number": str(number)}}
    log.debug("to send: %s", headers)
    client = httpx.Client(base_url=spidra_api.base_url)
    with client:
        response = client.post(request.target, headers=headers, content=request.content)
    seen = response.text
    told = f"{{request}} {{headers}} {{seen}} {{response.headers}}"
    log.debug("sent: %s", told)
    print("sent:", told)
    warnings.warn(told)
    if number % 2:
        raise ValueError(told)
"""


@pytest.fixture(scope="module")
def server():
    """A server that answers each case with its reply; it yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            _, _, reply = CASES[int(self.headers["x-number"])]
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.content)

        def log_message(self, *args):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{served.server_address[1]}/api"
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture(scope="module")
def shown(server, tmp_path_factory):
    """Record all cases with everything shown that pytest can show; return the folder with what it has left."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "pytest.ini").write_text(f"{INI}spidra_modes = replay\nspidra_base_url = {server}\n")
    (folder / "test_it.py").write_text(SUITE.format(folder=str(Path(__file__).parent)))
    arguments = ["-rA", "--showlocals", "--log-cli-level=DEBUG", "--junitxml=junit.xml", "--log-file=log.txt"]
    arguments += [
        "--spidra-record=all",
        "-p",
        "no:randomly",
        "-p",
        "no:random_order",
        "-p",
        "no:hypothesispytest",
    ]
    arguments += (
        ["--html=report.html", "--self-contained-html"] if importlib.util.find_spec("pytest_html") else []
    )
    arguments += (
        ["--json-report", "--json-report-file=report.json"]
        if importlib.util.find_spec("pytest_jsonreport")
        else []
    )
    environment = {**os.environ, "SPIDRA_API_KEY": f"{KEY}\n", "TMPDIR": str(folder)}
    with (folder / "terminal.txt").open("w") as terminal:
        subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-m", "pytest", *arguments],
            cwd=folder,
            env=environment,
            stdout=terminal,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("file", ["terminal.txt", "junit.xml", "log.txt", "report.html", "report.json"])
def test_no_secret_is_shown_wherever_it_stands_and_however_it_is_spelt(shown, file):
    """More than 80 places and spellings, sent and seen, logged, printed, warned of, raised and held in variables."""
    assert len(CASES) >= 80
    if not (shown / file).exists():
        pytest.skip(f"what makes {file} is not installed")
    text = (shown / file).read_text()
    if file == "report.html":
        text = text.replace("&#34;", '"').replace("&#39;", "'")
    assert "sent: " in text
    assert "redacted" in text
    assert [secret for secret in BETRAYING if secret in text] == []
    if file == "terminal.txt":
        failed, passed = len(CASES) // 2, len(CASES) - len(CASES) // 2
        assert "ValueError: Request(method='POST'" in text
        assert text.count("FAILED test_it.py") >= failed
        assert "UserWarning: Request(method='POST'" in text
        assert passed > 40


@pytest.mark.slow
def test_no_file_that_such_a_run_leaves_holds_a_secret(shown):
    for file in shown.rglob("*"):
        if file.is_file():
            assert [secret for secret in BETRAYING if secret.encode() in file.read_bytes()] == [], file
    assert len([*shown.rglob("*.yaml")]) > 50


# Without a run of pytest ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "assert 3 == 4",
        "token = 'word', author = 'Jane', headers = {'accept': '*/*', 'x-token-type': 'jwt'}",
        "E       KeyError: 'session'",
        "session = <Session object at 0x7f8c90f54190>",
        "tests/test_shop.py::test_token[secret-1] PASSED",
        "    client = spidra.Spidra(api_key=spidra_api.api_key)",
        "password = None, cookies = [], auth = ('', '')",
        "https://shop.example/?page=2&token=blue-widget",
        "日本語, %41 and \\u0041",
    ],
)
def test_what_is_no_secret_is_shown(text):
    assert ShownText([KEY]).clean(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"Illegal header value b'{KEY}\\n'",
        f"{KEY[:4]}%{ord(KEY[4]):02x}{KEY[5:]}",
        "\0".join(KEY),
        "\n".join(KEY.encode().hex()),
        "{'x-session-token': 'ab12cd34'}",
        "password   = 'ab12cd34'",
        "[('cookie', b'ab12cd34')]",
    ],
)
def test_a_key_and_what_is_named_like_a_secret_are_not(text):
    shown = ShownText([KEY]).clean(text)
    assert shown != text
    assert "ab12cd34" not in shown
    assert KEY not in shown.replace("\0", "").replace("%67", "g")


def test_a_short_secret_is_found_as_a_word_only():
    shown = ShownText([])
    shown.known.add("ab1")
    assert shown.clean("ab1, ab12 and 'ab1'") == "[redacted], ab12 and '[redacted]'"


def test_a_report_and_the_parts_of_its_traceback_are_cleaned_and_what_else_hangs_on_it_stays():
    class Part:
        def __init__(self, **attributes):
            vars(self).update(attributes)

    class Shown(Part):
        def toterminal(self):
            pass

    node = Part(key=KEY)  # xdist's worker leads to all of pytest, in circles
    node.myself = node
    chain = Shown(chain=[(Shown(lines=[f"a {KEY}", 3]), {"b": (KEY, None)})])
    report = Part(longrepr=chain, node=node, kind=Shown, nodeid=KEY)
    ShownText([KEY]).clean_attributes(report, but=["nodeid"])
    ((entry, locals_),) = report.longrepr.chain
    assert entry.lines == ["a [redacted]", 3]
    assert locals_ == {"b": ("[redacted]", None)}
    assert (node.key, report.kind, report.nodeid) == (KEY, Shown, KEY)


def test_a_logged_exception_is_cleaned_with_its_line():
    formatter = RedactingFormatter(None, ShownText([KEY]).clean)
    try:
        int(KEY)
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "a.py", 1, "sent %s", (KEY,), sys.exc_info())
    text = formatter.format(record)
    assert text.startswith("sent [redacted]\nTraceback")
    assert text.endswith("invalid literal for int() with base 10: '[redacted]'")


def test_a_module_that_cannot_be_imported_and_a_broken_hook_show_no_key(pytester, monkeypatch):
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)
    pytester.makepyfile(test_it="import os\nraise ValueError(os.environ['SPIDRA_API_KEY'])")
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "--spidra-record=once")
    result.stdout.fnmatch_lines(["*ValueError: ?redacted?"])
    assert KEY not in result.stdout.str()
    pytester.makeconftest(
        "import os\ndef pytest_collection(): raise ValueError(os.environ['SPIDRA_API_KEY'])"
    )
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "--spidra-record=once")
    result.stdout.fnmatch_lines(["INTERNALERROR*ValueError: ?redacted?"])
    assert KEY not in result.stdout.str() + result.stderr.str()
    assert json.dumps(KEY) not in result.stdout.str()
