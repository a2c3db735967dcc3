"""Recordings that are interrupted at random moments; a thousand of them: ``python interrupted_recordings.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = os.environ.get("SPIDRA_INTERRUPTIONS", "20")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked on Windows")
def test_no_interruption_loses_a_cassette_or_leaves_anything_that_others_can_read():
    script = Path(__file__).with_name("interrupted_recordings.py")
    done = subprocess.run([sys.executable, script, COUNT], capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "0 faults" in done.stdout
