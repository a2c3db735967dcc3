"""Interrupts recordings at random moments, and looks at what they leave: ``python interrupted_recordings.py [COUNT]``.

Each is a run of pytest in a process of its own, forked from this one, that records anew over an old cassette. It is
killed with SIGKILL, anywhere or while the cassette is written; it meets an exception or Ctrl-C; or its disk is full
(no file may grow beyond so many bytes).
"""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import stat
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
import spidra  # noqa: F401 - the children need not import it again
import time_machine  # noqa: F401 - likewise
import yaml
from users_suite import INI, KEY, SHOP, Api

import pytest_spidra.sessions.cassette_sessions
import pytest_spidra.sessions.report_redaction  # noqa: F401 - likewise
from pytest_spidra.cassettes.writing import Writing

TEST = """
def test_prices(spidra_api):
    with plain(spidra_api) as client:
        finish(client, submit(client, cookies="sid=hunter2z"))
"""
SECRETS = (KEY.encode(), b"hunter2z")
KINDS = ("killed", "killed while it was written", "an exception", "Ctrl-C", "a full disk")
ARGUMENTS = ("-q", "-p", "pytest_spidra.plugin", "-p", "no:cacheprovider", "--spidra-record=all")


def interrupted(folder, url, kind, lasts, dice, size):
    """Record in a child, and interrupt it.

    Args:
        folder: Where the suite is.

        url: Where the API is.

        kind: One of `KINDS`.

        lasts: Seconds that a recording takes when nobody interrupts it.

        dice: Says when.

        size: Bytes of the cassette.
    """
    moment = dice.uniform(0, lasts)
    telling, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            _prepare(kind, moment, told, dice.randrange(size))
            pytest.main([*ARGUMENTS, "-o", f"spidra_base_url={url}"])
        finally:
            os._exit(0)
    os.close(told)
    if kind == "killed":
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    elif kind == "killed while it was written":
        select.select([telling], [], [], 60)
        time.sleep(dice.uniform(0, lasts / 2))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(telling)


def _prepare(kind, moment, told, size):
    if kind == "killed while it was written":
        save = Writing.save_cassette

        def telling(*arguments, **named):
            os.close(told)
            save(*arguments, **named)

        Writing.save_cassette = telling
    elif kind in {"an exception", "Ctrl-C"}:
        error = KeyboardInterrupt if kind == "Ctrl-C" else RuntimeError

        def strike(*_):
            raise error

        signal.signal(signal.SIGALRM, strike)
        signal.setitimer(signal.ITIMER_REAL, max(moment, 0.001))
    elif kind == "a full disk":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def faults(folder, kind, before):
    """Yield what is wrong with what a recording has left, and clear it away.

    Args:
        folder: Where the suite is.

        kind: How it was interrupted.

        before: The old cassette.
    """
    cassette = folder / "cassettes/test_shop/test_prices.yaml"
    after = cassette.read_bytes() if cassette.exists() else b""
    if after != before:
        if kind == "a full disk":
            yield "the cassette was changed"
        held = yaml.safe_load(after) if after else {}
        if held.get("version") != 1 or len(held["interactions"]) < 3 or "test" not in held:
            yield "the cassette is lost, or not whole"
    for file in sorted(one for one in folder.rglob("*") if one.is_file() and one.suffix != ".pyc"):
        if any(secret in file.read_bytes() for secret in SECRETS) and file.name != "test_shop.py":
            yield f"{file.name} holds a secret"
        if file.suffix == ".tmp":
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                yield f"{file.name} can be read by others"
            file.unlink()


def interrupt(count, seed=0):
    """Interrupt so many recordings; return what happened, and what was wrong."""
    dice = random.Random(seed)  # noqa: S311 - moments, no secrets
    happened, wrong = Counter(), []
    os.environ.update(SPIDRA_API_KEY=KEY, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "suite"
        folder.mkdir()
        api = Api(Path(name))
        try:
            ini = INI.replace("asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n", "")
            (folder / "pytest.ini").write_text(f"{ini}spidra_modes = replay\n")
            (folder / "test_shop.py").write_text(SHOP.replace("0.01", "0.001") + TEST)
            cassette = folder / "cassettes/test_shop/test_prices.yaml"
            begun = time.monotonic()
            for _ in range(2):  # the second time with everything compiled
                begun = time.monotonic()
                interrupted(folder, api.url, "", 0, dice, 1)
            lasts = time.monotonic() - begun
            for number in range(count):
                kind = KINDS[number % len(KINDS)]
                before = cassette.read_bytes()
                interrupted(folder, api.url, kind, lasts, dice, len(before))
                left = any(one.suffix == ".tmp" for one in cassette.parent.iterdir())
                wrong += [f"{number}, {kind}: {what}" for what in faults(folder, kind, before)]
                now = cassette.read_bytes() if cassette.exists() else b""
                happened[
                    f"{kind}: {'the old one' if now == before else 'a new one'}{', a file left' * left}"
                ] += 1
                if now != before and wrong:
                    cassette.write_bytes(before)
        finally:
            api.stop()
    return happened, wrong


def main():
    """Print what happened."""
    happened, wrong = interrupt(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    lines = [f"{number:>6}  {what}" for what, number in sorted(happened.items())]
    sys.stdout.write("\n".join([*lines, f"{len(wrong)} faults", *wrong, ""]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
