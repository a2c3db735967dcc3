"""``python -m pytest_spidra serve``, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from pytest_spidra import cli
from pytest_spidra.cli import serve
from pytest_spidra.traffic.exchanges import Exchange

SERVE = [sys.executable, "-m", "pytest_spidra", "serve"]


class Served:
    """A running command: its base URL, and what it says."""

    def __init__(self, process):
        self.process = process
        self.base_url = process.stdout.readline().strip()

    def client(self, key="spd_cli"):
        return httpx.Client(base_url=self.base_url, headers={"x-api-key": key}, timeout=10)

    def ended(self, by=signal.SIGTERM):
        """Ask it to end; return what else it said, and what it complained of."""
        self.process.send_signal(by)
        out, err = self.process.communicate(timeout=20)
        return out, err


@contextmanager
def serving(*arguments, **environment):
    command = [*SERVE, "--port", "0", *arguments]
    # As in a pipe by itself: what is not flushed is not seen.
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(  # noqa: S603 - our own words
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain | environment
    ) as process:
        watch = threading.Timer(30, process.kill)  # a command that hangs is no test that hangs
        watch.start()
        try:
            yield Served(process)
        finally:
            watch.cancel()
            process.kill()


def refused(*arguments):
    """Return what a command that cannot begin says."""
    done = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own words
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.strip()


@pytest.fixture
def file(tmp_path):
    """Write a script file and return its path."""

    def file(text, name="faults.py"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return file


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_then_what_happens_and_ends_when_asked_to(by):
    with serving() as served, served.client() as client:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api", served.base_url)
        client.post("/batch/scrape", json={"urls": ["https://a.example/"]})
        assert re.fullmatch(
            r" +#1 +\d+\.\d\d  submit 1 URL    202 queued\n", served.process.stdout.readline()
        )
        client.get("/nowhere")
        out, err = served.ended(by)

    assert served.process.returncode == 0
    assert err == ""
    assert re.fullmatch(r" +#2 +\d+\.\d\d  GET /nowhere    404\n\nThe rules found nothing to accuse\.\n", out)


def test_it_ends_without_a_word_when_nobody_came():
    with serving() as served:
        assert served.ended() == ("", "")
        assert served.process.returncode == 0


def test_a_script_file_says_what_fails(file):
    file("URL = 'https://a.example/'", "neighbour.py")
    script = file(
        "from neighbour import URL\n"
        "from pytest_spidra import failed, completed, reply_lost, ok\n"
        "def script(spidra_server):\n"
        "    spidra_server.batch.outcomes({URL: [failed('Blocked'), completed()]})\n"
        "    spidra_server.batch.submit.script(reply_lost('ReadError'))\n"
        "    spidra_server.batch.list.script(ok(after=600))\n"
    )
    body = {"urls": ["https://a.example/"]}
    with serving("--script", script) as served, served.client() as client:
        with pytest.raises(httpx.TransportError):
            client.post("/batch/scrape", json=body)
        batch_id = client.post("/batch/scrape", json=body).json()["batchId"]
        client.get(f"/batch/scrape/{batch_id}")
        assert client.get(f"/batch/scrape/{batch_id}").json()["items"][0]["error"] == "Blocked"
        with pytest.raises(httpx.ReadTimeout):
            client.get("/batch/scrape", timeout=0.2)
        out, err = served.ended()

    lines = [" ".join(line.split()[2:]) for line in out.splitlines()]
    assert err == ""
    assert lines[:5] == [
        'submit 1 URL ReadError (scripted reply_lost("ReadError"); the service answered 202 queued)',
        "submit 1 URL 202 queued",
        "get 00000002 200 running 0/1",
        "get 00000002 200 completed, 1 failed",
        "list cancelled (scripted ok(after=600); the service answered 200 2 batches)",
    ]
    assert "> double-submission: " in out


def test_only_the_key_is_good_and_the_credits_run_out():
    with serving("--key", "spd_mine", "--credits", "1") as served:
        body = {"urls": ["https://a.example/"]}
        with served.client("spd_other") as client:
            assert client.post("/batch/scrape", json=body).status_code == 401
        with served.client("spd_mine") as client:
            assert [client.post("/batch/scrape", json=body).status_code for _ in range(2)] == [202, 403]
        assert served.ended()[1] == ""


def test_a_reply_that_is_under_way_is_hung_up_on_at_the_end(file):
    script = file(
        "from pytest_spidra import ok\n"
        "def script(spidra_server):\n"
        "    spidra_server.batch.submit.script(ok(after=600))\n"
    )
    hung_up_on = []

    def wait(client):
        try:
            client.post("/batch/scrape", json={"urls": ["https://a.example/"]})
        except httpx.TransportError as error:
            hung_up_on.append(error)

    with serving("--script", script) as served, served.client() as client:
        waiting = threading.Thread(target=wait, args=(client,))
        waiting.start()
        with served.client() as other:
            while not other.get("/batch/scrape").json()["jobs"]:
                time.sleep(0.01)
        out, _ = served.ended()
        waiting.join()
    assert len(hung_up_on) == 1
    assert "cancelled  (scripted ok(after=600); the service answered 202 queued)" in out


def test_a_fault_of_the_script_is_told_while_it_serves(file):
    script = file(
        "from pytest_spidra import http_error\n"
        "def script(spidra_server):\n"
        "    spidra_server.batch.list.script(http_error(503, headers={'x-bad': 'a\\nb'}))\n"
    )
    with serving("--script", script) as served, served.client() as client:
        with pytest.raises(httpx.TransportError):
            client.get("/batch/scrape")
        assert served.process.stderr.readline().startswith(
            "pytest-spidra: LocalProtocolError: Illegal header value"
        )
        assert served.ended()[1] == ""
        assert served.process.returncode == 0


def test_who_stops_reading_stops_it():
    with serving() as served, served.client() as client:
        served.process.stdout.close()
        client.get("/batch/scrape")
        assert served.process.wait(10) == 0
        assert served.process.stderr.read() == ""


def test_letters_that_the_terminal_does_not_know_are_no_trouble():
    with serving(PYTHONIOENCODING="ascii", PYTHONUTF8="0") as served, served.client() as client:
        client.get("/b%C3%A4%1b%5b2J%0a")
        assert r"GET /b\xe4\x1b[2J\n    404" in served.ended()[0]


def test_a_line_holds_nothing_that_moves_a_cursor():
    assert serve.line(Exchange(1, 0.5, "", "GET", "/a\x1b[2J\n\ud800ä")) == (
        "    #1     0.50  GET /a\\x1b[2J\\n\\ud800ä   no reply yet  (the service never saw it)"
    )


# -- what cannot begin -----------------------------------------------------------------------------------


def test_a_taken_port_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = refused("--port", str(port))
    assert told == (
        f"pytest-spidra: Cannot listen on port {port} of 127.0.0.1: it is taken; --port 0 picks a free one."
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--port", "70000"), "Cannot listen on port 70000 of 127.0.0.1: ports go from 0 to 65535."),
        (
            ("--host", "192.0.2.1"),
            "Cannot listen on port 8123 of 192.0.2.1: Cannot assign requested address.",
        ),
    ],
)
def test_an_address_that_is_none_is_one_sentence(arguments, told):
    assert refused(*arguments) == f"pytest-spidra: {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def script(", "is broken: SyntaxError: '(' was never closed"),
        (
            "\nimport no_such_module",
            "is broken: ModuleNotFoundError: No module named 'no_such_module' (line 2).",
        ),
        ("raise SystemExit", "is broken: SystemExit (line 1)."),
        ("scripts = None", "defines no function script(spidra_server)."),
        ("script = 5", "defines no function script(spidra_server)."),
        (
            "def script(spidra_server):\n    spidra_server.batch.submit.script(200)",
            "failed: ValueError: http_error(…) takes an HTTP error status, 400 to 599, not 200 (line 2).",
        ),
        (
            "def script():\n    pass",
            "failed: TypeError: script() takes 0 positional arguments but 1 was given.",
        ),
    ],
)
def test_a_broken_script_file_is_one_sentence(file, text, told):
    path = file(text)
    sentence = refused("--port", "0", "--script", path)
    assert sentence.count("\n") == 0
    assert path in sentence
    assert told in sentence


def test_a_missing_script_file_is_one_sentence(tmp_path):
    path = tmp_path / "nothing.py"
    assert refused("--port", "0", "--script", str(path)) == f"pytest-spidra: There is no script file {path}."


def test_without_h11_it_says_what_to_install():
    """In a process of its own, with a deadline: a command that found it all the same would serve for ever."""
    code = (
        "import runpy, sys; sys.modules['h11'] = None; runpy.run_module('pytest_spidra', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "serve", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own words
    assert (done.returncode, done.stdout) == (2, "")
    assert "python -m pip install 'pytest-spidra[server]'" in done.stderr


def test_a_command_is_wanted(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
