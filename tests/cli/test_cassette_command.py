"""``spidra-cassette``: what `show` prints, and what `check` finds."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.recording import Times
from pytest_spidra.cli import main
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

BASE_URL = "http://127.0.0.1:1/api"
KEY = "spd_" + "made-up-key"
BATCH = "00000001-0000-4000-8000-000000000000"
URLS = b'{"urls":["https://a.example/"]}'

SUBMIT = Request("POST", "/batch/scrape", headers={"x-api-key": KEY}, content=URLS)
LOOK = Request("GET", f"/batch/scrape/{BATCH}", headers={"x-api-key": KEY})
RETRY = Request("POST", f"/batch/scrape/{BATCH}/retry", headers={"x-api-key": KEY})
CANCEL = Request("DELETE", f"/batch/scrape/{BATCH}", headers={"x-api-key": KEY})
QUEUED = Reply.of(202, {"status": "queued", "batchId": BATCH, "total": 1})


def seen(status, failed=0):
    body = {"status": status, "totalUrls": 1, "completedCount": int(status == "completed") - failed}
    return Reply.of(200, {**body, "failedCount": failed, "items": []})


WHOLE = [(SUBMIT, QUEUED), (LOOK, seen("running")), (LOOK, seen("completed"))]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a cassette below ``cassettes`` and return its path."""
    monkeypatch.chdir(tmp_path)

    def write(name="a.yaml", pairs=WHOLE, keys=(KEY,), known=None):
        path = Path("cassettes") / name
        interactions = [
            (
                request,
                reply,
                Times(3.0 * place, 0.25, (known or {}).get(place, place + 1), DATE.format(3 * place)),
            )
            for place, (request, reply) in enumerate(pairs)
        ]
        config = {"serializer": "json"} if path.suffix == ".json" else {}
        Format(config).write(path, interactions, BASE_URL, keys)
        return path

    return write


DATE = "2026-11-23T12:00:{:02}Z"


def test_show_prints_the_timeline(write, capsys):
    path = write()

    assert main(["show", str(path)]) == 0

    assert capsys.readouterr().out == (
        f"{path}: 3 exchanges with 127.0.0.1:1, recorded 2026-11-23T12:00:00Z\n"
        "\n"
        "        #  seconds    wait by    request         the client saw\n"
        "       #1     0.00               submit 1 URL    202 queued\n"
        "       #2     3.00   +2.75 own   get 00000001    200 running 0/1\n"
        "       #3     6.00   +2.75 own   get 00000001    200 completed 1/1\n"
    )


def test_show_takes_json_and_requests_under_way_together(write, capsys):
    """The wait is counted from what the client had seen when it sent."""
    path = write("a.json", known={1: 3})
    assert main(["show", str(path)]) == 0
    assert "#3     6.00   +5.75 own   get 00000001    200 completed" in capsys.readouterr().out


def test_show_takes_a_cassette_that_vcrpy_made(write, capsys):
    """It has no times but the date of its first reply; other requests in it are counted only."""
    path = write()
    text = path.read_text()
    lines = [
        line
        for line in text.splitlines()
        if not line.startswith(("    recorded", "      at:", "      took:"))
    ]
    lines = [line for line in lines if not line.startswith(("      known:", "      date: '2026"))]
    path.write_text(
        "\n".join(lines).replace(f"{BASE_URL}/batch/scrape/{BATCH}", "https://other.example/", 1) + "\n"
    )
    assert main(["show", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"{path}: 2 exchanges with 127.0.0.1:1\n1 interaction with something else left out\n" in out


def test_show_of_a_cassette_without_requests_is_no_error(write, capsys):
    path = write(pairs=[])
    assert main(["show", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 0 exchanges\n"


def test_show_of_what_cannot_be_read_exits_with_2(write, capsys):
    path = write()
    path.write_text(path.read_text().replace("version: 1\n", ""))
    assert main(["show", str(path)]) == 2
    assert f"pytest-spidra: {path} is cut off" in capsys.readouterr().err
    assert main(["show", "nowhere.yaml"]) == 2
    assert "there is no cassette nowhere.yaml" in capsys.readouterr().err


def test_check_of_good_cassettes_exits_with_0(write, capsys):
    """Without a path it looks through ``cassettes``; hidden and other files are nobody's business."""
    write()
    write("deep/b.json")
    Path("cassettes/.hidden.yaml").write_text("half")
    Path("cassettes/README.md").write_text("words")
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "2 cassettes checked, all good\n"


def test_check_finds_secrets_and_does_not_print_them(write, capsys):
    path = write()
    path.write_text(path.read_text().replace("'[secret 1]'", f"'{KEY}'", 1))
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"{path}: interaction 1, request header x-api-key: " in out
    assert KEY not in out
    assert out.endswith("1 cassette checked, 1 problem\n")


def test_check_names_what_a_killed_recording_has_left(write, capsys):
    write()
    Path("cassettes/.a.yaml.x.tmp").write_text("half")
    assert main(["check"]) == 1
    assert capsys.readouterr().out == (
        "cassettes/.a.yaml.x.tmp: left by a recording that was killed: delete it\n"
        "1 cassette checked, 1 problem\n"
    )


def test_check_of_a_folder_without_cassettes_exits_with_2(tmp_path, capsys):
    """A line in CI that looks at the wrong folder is to be noticed."""
    (tmp_path / "README.md").write_text("words")
    assert main(["check", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"pytest-spidra: there is no cassette in {tmp_path}: a check of nothing shows nothing\n"
    )


def test_check_finds_in_a_cassette_of_another_tool_what_the_scrubber_would_take(write, capsys):
    path = write()
    text = path.read_text().replace("x-api-key", "x-session-token").replace("[secret 1]", "9fK2mQ7xR4tV1bZ8")
    path.write_text(text.replace("https://a.example/", "https://me:hunter2@a.example/?sig=9fK2mQ7xR4tV1bZ8"))
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"{path}: interaction 1, request header x-session-token: x-session-token not redacted\n" in out
    assert f"{path}: interaction 1, request body: a password in a URL\n" in out
    assert f"{path}: interaction 1, request body: a secret in a URL\n" in out
    assert "hunter2" not in out
    assert "9fK2" not in out


@pytest.mark.parametrize("text", ["", "interactions:\n", "{", "- 1\n", "version: 2\ninteractions: []\n"])
def test_check_finds_files_that_cannot_be_read(write, capsys, text):
    good, bad = write(), Path("cassettes/bad.yaml")
    bad.write_text(text)
    assert main(["check", "cassettes"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{bad}: ")
    assert str(good) not in out


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([(SUBMIT, QUEUED)], "pending"),
        ([(SUBMIT, QUEUED), (LOOK, seen("running"))], "running"),
        ([*WHOLE, (RETRY, Reply.of(202, {"status": "queued", "retriedCount": 1}))], "running"),
        ([(SUBMIT, QUEUED), (LOOK, Reply.of(503, {"status": "error"}))], "pending"),
    ],
)
def test_check_finds_batches_that_had_not_ended(write, capsys, pairs, status):
    path = write(pairs=pairs)
    assert main(["check"]) == 1
    assert f"{path}: batch {BATCH} was {status} when the recording ended" in capsys.readouterr().out
    assert main(["check", "--allow-unfinished"]) == 0


@pytest.mark.parametrize(
    "pairs",
    [
        [(SUBMIT, QUEUED), (CANCEL, Reply.of(200, {"status": "cancelled"}))],
        [(SUBMIT, QUEUED), (LOOK, seen("failed"))],
        [(LOOK, Reply.of(404, {"status": "error"}))],
        [*WHOLE, (RETRY, Reply.of(400, {"status": "error", "code": "NO_FAILED_ITEMS"}))],
        [(SUBMIT, Reply.of(422, {"status": "error"}))],
    ],
)
def test_batches_that_ended_or_never_were_are_no_problem(write, pairs):
    write(pairs=pairs)
    assert main(["check"]) == 0


def test_a_path_that_is_not_there_exits_with_2(write, capsys):
    assert main(["check", "nowhere"]) == 2
    assert capsys.readouterr().err == "pytest-spidra: there is no nowhere\n"
    assert main(["check"]) == 2


def test_it_is_a_command():
    """The installed program and the module are the same."""
    (script,) = entry_points(group="console_scripts", name="spidra-cassette")
    assert script.load() is main
    told = subprocess.run(
        [sys.executable, "-m", "pytest_spidra", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "print the timeline of a cassette" in told.stdout


def test_the_cassettes_of_this_repository_are_good():
    """Those of the examples: whole, without secrets, every batch at its end."""
    assert main(["check", str(Path(__file__).parents[2] / "cassettes")]) == 0
