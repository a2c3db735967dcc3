"""Locks: processes that record at the same time, pytest-xdist's workers, keep out of each other's way."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let no other process of this kind write into a folder meanwhile, where there is a way to say so."""
    number = None
    # Windows, or a file system without locks; what is wrong with the folder is told later.
    with suppress(ImportError, OSError):
        import fcntl

        folder.mkdir(parents=True, exist_ok=True)
        number = os.open(folder, os.O_RDONLY)
        fcntl.flock(number, fcntl.LOCK_EX)  # a process that dies lets go of it
    try:
        yield
    finally:
        if number is not None:
            os.close(number)


@contextmanager
def alone_with(path: Path, test: str) -> Iterator[None]:
    """Let no other process of this kind record the same test meanwhile; it finds our recording when its turn comes.

    Args:
        path: The cassette's file, which need not be there.

        test: The test's id. Another test that has the same cassette is not waited for.
    """
    mark = sha256(os.fsencode(f"{path.absolute()}\0{test}")).hexdigest()[:16]
    lock = Path(tempfile.gettempdir(), f"pytest-spidra-{mark}.lock")
    number = None
    with suppress(ImportError, OSError):  # as above
        import fcntl

        while number is None:
            number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            fcntl.flock(number, fcntl.LOCK_EX)
            if not _is_at(lock, number):  # whoever had it has taken it away
                os.close(number)
                number = None
    try:
        yield
    finally:
        if number is not None:
            lock.unlink(missing_ok=True)
            os.close(number)


def _is_at(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except FileNotFoundError:
        return False
