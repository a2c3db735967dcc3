"""Whatever goes wrong while recording: the old cassette is there to the byte, and nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml
from users_suite import KEY, SHOP, Api, failure

ONE = """
def test_prices(spidra_api):
    with plain(spidra_api) as client:
        finish(client, submit(client))
"""

MODES = "spidra_modes = replay\n"

# Listing breaks the connection, cancelling takes longer than anybody waits.
TROUBLED = """
from pytest_spidra import ok, reply_lost

def script(spidra_server):
    spidra_server.batch.list.always(reply_lost("ReadError"))
    spidra_server.batch.cancel.always(ok(after=30))
"""


@pytest.fixture(scope="session")
def troubled(tmp_path_factory):
    api = Api(tmp_path_factory.mktemp("troubled"), TROUBLED)
    yield api
    api.stop()


@pytest.fixture
def record(troubled, monkeypatch):
    """Return the arguments that record from a server that breaks connections and lets wait."""
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)
    return lambda how="all": ("-o", f"spidra_base_url={troubled.url}", f"--spidra-record={how}")


@pytest.fixture(params=["there", "missing"])
def old(request, suite, record, cassettes):
    """A cassette of an earlier recording, or none; return what checks that this is so still."""
    if request.param == "there":
        suite(ONE, ini=MODES)(*record()).assert_outcomes(passed=1)
        assert cassettes.names == ["test_shop/test_prices.yaml"]
    before = cassettes.content

    def unchanged():
        assert cassettes.content == before
        result = suite(ONE, ini=MODES)()
        result.assert_outcomes(**{"passed" if before else "failed": 1})
        return True

    return unchanged


TWICE = "        submit(client, ['https://a.example/'] * 2)\n"

FAILING = {
    "the test fails": ("        assert False\n", (), "assert False"),
    "a rule fails it": (TWICE, ("--spidra-rules=error",), "duplicate-urls:"),
    "a rule's warning is an error": (TWICE, ("--spidra-rules=warn", "-W", "error"), "duplicate-urls:"),
    "a scripted step is left": (
        "        spidra_api.batch.retry.script(503)\n",
        (),
        "A scripted step was never reached",
    ),
    "a request that the API does not have": (
        "        try:\n            client.get('/pets')\n        except BaseException:\n            pass\n",
        (),
        "Only these endpoints are recorded and replayed; the request was not sent.",
    ),
    "the real connection breaks": (
        "        client.get('/batch/scrape')\n",
        (),
        "The recording ends here: GET /batch/scrape got no reply; the API may have done the work all the same.",
    ),
    "the real connection breaks and nobody minds": (
        "        try:\n            client.get('/batch/scrape')\n        except BaseException:\n            pass\n",
        (),
        "Something swallowed this",
    ),
    "the client gives up waiting": (
        (
            "        try:\n            client.delete(f'/batch/scrape/{submit(client)}', timeout=0.2)\n"
            "        except httpx.ReadTimeout:\n            pass\n"
        ),
        (),
        "The recording ends here: DELETE /batch/scrape/*got no reply",
    ),
    "a task is cancelled": (
        (
            "        batch = submit(client)\n"
            "    async def give_up():\n"
            "        async with plain_async(spidra_api) as client:\n"
            "            async with asyncio.timeout(0.2):\n"
            "                await client.delete(f'/batch/scrape/{batch}')\n"
            "    with pytest.raises(TimeoutError):\n"
            "        asyncio.run(give_up())\n"
        ),
        (),
        "was not written: DELETE /batch/scrape/*was given up by the client before its reply came.",
    ),
    "a thread still waits at the end": (
        (
            "        import threading\n"
            "        batch = submit(client)\n"
            "        def wait():\n"
            "            try:\n"
            "                with plain(spidra_api, timeout=0.5) as client:\n"
            "                    client.delete(f'/batch/scrape/{batch}')\n"
            "            except BaseException:\n"
            "                pass\n"
            "        threading.Thread(target=wait, name='late').start()\n"
            "        while len(spidra_api.exchanges) < 5:\n"
            "            time.sleep(0.01)\n"
        ),
        (),
        "was not written: DELETE /batch/scrape/*had no reply when the test ended.",
    ),
}


@pytest.mark.parametrize("how", FAILING)
def test_a_recording_that_fails_changes_nothing(how, old, suite, record):
    source, args, told = FAILING[how]
    result = suite(ONE + source, ini=MODES)(*record(), *args)
    for thread in threading.enumerate():
        if thread.name == "late":
            thread.join()
    result.assert_outcomes(failed=1)
    first, _, second = told.partition("*")
    _, found, rest = failure(result).partition(first)
    assert found == first
    assert second in rest
    assert old()


@pytest.mark.parametrize("ending", ["pytest.skip('no more')", "pytest.xfail('no more')"])
def test_a_test_that_ends_half_way_changes_nothing(ending, old, suite, record):
    suite(f"{ONE}        {ending}\n", ini=MODES)(*record()).assert_outcomes(
        **{"skipped" if "skip" in ending else "xfailed": 1}
    )
    assert old()


@pytest.mark.slow
def test_a_run_that_is_interrupted_changes_nothing(old, suite, record, pytester):
    suite(f"{ONE}        raise KeyboardInterrupt\n", ini=MODES)
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", *record(), timeout=100)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert old()


CONFTEST = {
    "the disk is full": (
        """
import errno, os
def fsync(number):
    raise OSError(errno.ENOSPC, "No space left on device")
os.fsync = fsync
""",
        "test_prices.yaml could not be written: [Errno 28] No space left on device",
    ),
    "the file cannot be replaced": (
        """
import os
def replace(*args, **kwargs):
    raise PermissionError(13, "The process cannot access the file because it is being used by another process")
os.replace = replace
""",
        "test_prices.yaml could not be written: [Errno 13] The process cannot access the file",
    ),
    "a filter drops a request": (
        """
import pytest
@pytest.fixture
def spidra_vcr_config():
    return {"before_record_request": lambda request: request if request.method == "POST" else None}
""",
        "spidra_vcr_config drops GET /batch/scrape/*: a replay could not answer it.",
    ),
    "a hook is broken": (
        """
import pytest
def hook(response):
    raise RuntimeError("broken hook")
@pytest.fixture
def spidra_vcr_config():
    return {"before_record_response": hook}
""",
        "broken hook",
    ),
    "a setting is none of vcrpy's": (
        """
import pytest
@pytest.fixture
def spidra_vcr_config():
    return {"filter_headrs": ["x"]}
""",
        "spidra_vcr_config: vcrpy *refuses it: *filter_headrs",
    ),
    "a setting has no say": (
        """
import pytest
@pytest.fixture
def spidra_vcr_config():
    return {"record_mode": "all"}
""",
        "spidra_vcr_config sets 'record_mode', which has no say here: the command line decides: --spidra-record.",
    ),
}


@pytest.mark.parametrize("why", CONFTEST)
def test_a_cassette_that_cannot_be_written_changes_nothing(why, old, suite, record, monkeypatch):
    conftest, told = CONFTEST[why]
    with monkeypatch.context() as patch:  # puts back what the inner run changes
        patch.setattr(os, "fsync", os.fsync)
        patch.setattr(os, "replace", os.replace)
        result = suite(ONE, ini=MODES, conftest=conftest)(*record())

    result.assert_outcomes(failed=1)
    rest = failure(result)
    for piece in told.split("*"):
        _, found, rest = rest.partition(piece)
        assert found == piece
    assert old()


def test_a_folder_that_is_a_file_is_told_before_anything_is_sent(suite, record, pytester, troubled):
    path = pytester.path / "cassettes"
    path.write_text("no folder")
    troubled.requests()
    result = suite(ONE, ini=MODES)(*record())
    result.assert_outcomes(failed=1)
    assert failure(result) == (
        f"{path}/test_shop/test_prices.yaml could not be written: {path} is no folder. Nothing was sent."
    )
    assert troubled.requests() == []
    assert path.read_text() == "no folder"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told_before_anything_is_sent(suite, record, cassettes, troubled):
    suite(ONE, ini=MODES)(*record()).assert_outcomes(passed=1)
    before = cassettes.content
    folder = cassettes.folder / "test_shop"
    folder.chmod(0o555)
    troubled.requests()
    try:
        result = suite(ONE, ini=MODES)(*record())
        suite(ONE, ini=MODES)().assert_outcomes(passed=1)
    finally:
        folder.chmod(0o755)
    result.assert_outcomes(failed=1)
    assert f"could not be written: the folder {folder} is read-only. Nothing was sent." in failure(result)
    assert troubled.requests() == []
    assert cassettes.content == before


KILLED = {
    "while a request is under way": """
def test_prices(spidra_api):
    with plain(spidra_api, timeout=60) as client:
        batch = submit(client)
        NOW.touch()
        client.delete(f"/batch/scrape/{batch}")
""",
    "while the file is written": ONE + "    os.fsync = stop\n",
    "before the file is replaced": ONE + "    os.replace = stop\n",
}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nobody is killed like this on Windows")
@pytest.mark.parametrize("moment", KILLED)
def test_a_run_that_is_killed_changes_nothing(moment, old, suite, record, pytester, cassettes):
    """What it leaves behind is a temporary file at most, and that disturbs nobody."""
    before = cassettes.content
    suite("", ini=MODES)
    now = pytester.path / "now"
    helper = (
        f"import os, pathlib, threading\nNOW = pathlib.Path({os.fspath(now)!r})\n"
        "def stop(*args, **kwargs):\n    NOW.touch()\n    threading.Event().wait(60)\n"
    )
    pytester.makepyfile(test_shop=SHOP + helper + KILLED[moment])
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", *record()],
        cwd=pytester.path,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 30
            while not now.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGKILL)

    left = [name for name in cassettes.names if name not in before]
    assert len(left) == ("file" in moment)
    assert all(name.startswith("test_shop/.test_prices.yaml.") and name.endswith(".tmp") for name in left)
    assert before.items() <= cassettes.content.items()

    result = suite(ONE, ini=MODES)()
    result.assert_outcomes(**{"passed" if before else "failed": 1})
    assert before or "there is no cassette" in failure(result)
    result = suite(ONE, ini=MODES)(*record("once"))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("*1 passed*")
    suite(ONE, ini=MODES)(*record()).assert_outcomes(passed=1)
    suite(ONE, ini=MODES)().assert_outcomes(passed=1)
    assert [name for name in cassettes.names if name not in left] == ["test_shop/test_prices.yaml"]


SHARED = """
import pathlib
HERE = pathlib.Path(__file__).parent

def meet(me):
    (HERE / f"here {me}").touch()
    for _ in range(6000):
        if len(list(HERE.glob("here *"))) == 2:
            return
        time.sleep(0.01)
    pytest.fail("the other one never came")

@pytest.mark.spidra(cassette="shared", modes="replay")
@pytest.mark.parametrize("me", [0, 1])
def test_it(spidra_api, me):
    with plain(spidra_api) as client:
        submit(client, [URLS[me * DIFFERENT]])
    if spidra_api.mode == "record":
        meet(me)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("xdist")
@pytest.mark.parametrize("earlier", ["there", "missing"])
def test_workers_that_record_different_tests_into_one_cassette_are_told(
    earlier, suite, record, cassettes, pytester
):
    """One of the recordings is there as a whole; whose it is, is the one that was first."""
    source = SHARED.replace("DIFFERENT", "1")
    if earlier == "there":
        (pytester.path / "here x").touch()
        suite(source, ini=MODES)(*record(), "-k", "0-").assert_outcomes(passed=1)
        for file in pytester.path.glob("here *"):
            file.unlink()
        time.sleep(0.05)  # some file systems count time in steps
    run = suite(source, ini=MODES)

    result = run(*record(), "-n", "2")

    result.assert_outcomes(passed=1, failed=1)
    told = failure(result)
    assert "shared.yaml was not written: it is the recording of" in told
    assert "To fix it, give each test a cassette of its own, @pytest.mark.spidra(cassette=…)" in told
    assert cassettes.names == ["shared.yaml"]
    (one,) = yaml.safe_load((cassettes.folder / "shared.yaml").read_text())["interactions"]
    mine = 0 if "shop.example/1" in one["request"]["body"] else 1
    passed = [name for name, outcome in outcomes(result).items() if outcome == "passed"]
    assert passed == [f"test_it[{mine}-replay]"]
    replayed = run()
    assert outcomes(replayed)[f"test_it[{mine}-replay]"] == "passed"
    replayed.assert_outcomes(passed=1, failed=1)


@pytest.mark.slow
@pytest.mark.usefixtures("xdist")
def test_workers_that_record_the_same_into_one_cassette_agree(suite, record, cassettes):
    run = suite(SHARED.replace("DIFFERENT", "0"), ini=MODES)
    run(*record(), "-n", "2").assert_outcomes(passed=2)
    assert cassettes.names == ["shared.yaml"]
    run().assert_outcomes(passed=2)


def outcomes(result):
    reports = result.reprec.getreports("pytest_runtest_logreport")
    return {one.nodeid.partition("::")[2]: one.outcome for one in reports if one.when == "call"}


ECHO = """
import base64, gzip, json, pytest
KEY = "{key}"

def hook(response):
    {code}
    return response

@pytest.fixture
def spidra_vcr_config():
    return {{"before_record_response": hook}}
"""

REFUSED = {
    "as a name of a mapping": (
        "response[KEY] = 1",
        "in interaction 1, response, stands an API key as it is.",
    ),
    "as a name, in base64": (
        "response[base64.b64encode(b'x' + KEY.encode()).decode()] = 1",
        "in interaction 1, response, stands an API key in base64.",
    ),
    "where nobody can look": (
        (
            "response['body']['string'] = b'(\\xb5/\\xfd' + KEY.encode()\n"
            "    response['headers']['content-encoding'] = ['rot13']"
        ),
        "because of interaction 1. A body with content-encoding rot13 cannot be searched for keys",
    ),
    **{
        f"in a body, {how}": (
            f"response['body']['string'] = {code}",
            f"in interaction 1, response body, stands an API key {how}.",
        )
        for how, code in {
            "in base64": "b'x ' + base64.b64encode(b'..' + KEY.encode())",
            "in hex": "b'x ' + KEY.encode().hex().encode()",
            "in escapes": "''.join(f'\\\\u{ord(one):04x}' for one in KEY).encode()",
            "in UTF-16": "b'\\xff\\xd8' + KEY.encode('utf-16')",
            "compressed": "gzip.compress(KEY.encode())",
            "compressed, in base64": "base64.b64encode(gzip.compress(KEY.encode()))",
        }.items()
    },
    "in a header, in base64": (
        "response['headers']['x-echo'] = [base64.b64encode(KEY.encode()).decode()]",
        "in interaction 1, response header x-echo, stands an API key in base64.",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_cassette_with_the_key_in_it_is_not_written(how, old, suite, record, cassettes):
    """The message says where it stands, and not what it is."""
    code, place = REFUSED[how]
    result = suite(ONE, ini=MODES, conftest=ECHO.format(key=KEY, code=code))(*record())
    result.assert_outcomes(failed=1)
    told = failure(result)
    assert "test_prices.yaml was not written" in told
    assert place in told
    assert '{"before_record_response": without_key}' in told or "rot13" in told
    assert KEY not in result.stdout.str()
    assert KEY[4:] not in result.stdout.str()
    assert old()


TAKEN_OUT = {
    "plain": "b' ' + KEY.encode()",
    "in a URL": "b' https://a.example/?q=' + KEY.encode() + b'&x'",
    "in JSON within JSON": "json.dumps(json.dumps([KEY])).encode()",
    "compressed as announced": "gzip.compress(KEY.encode())",
}


@pytest.mark.parametrize("how", TAKEN_OUT)
def test_a_key_that_can_be_taken_out_is_taken_out(how, suite, record, cassettes):
    code = f"response['body']['string'] = {TAKEN_OUT[how]}"
    if "compressed" in how:
        code += "\n    response['headers']['content-encoding'] = ['gzip']"
    source = ONE.replace(
        "finish(client, submit(client))", "client.post('/batch/scrape', json={'urls': URLS})"
    )
    suite(source, ini=MODES, conftest=ECHO.format(key=KEY, code=code))(*record()).assert_outcomes(passed=1)
    (one,) = yaml.safe_load(cassettes["test_prices.yaml"].read_text())["interactions"]
    assert "[secret 1]" in one["response"]["body"]["string"]
    assert one["request"]["headers"]["x-api-key"] == ["[secret 1]"]
    assert KEY not in cassettes["test_prices.yaml"].read_text()
