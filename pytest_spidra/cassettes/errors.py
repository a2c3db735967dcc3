"""What is wrong with a cassette."""

from __future__ import annotations


class CassetteError(Exception):
    """A cassette that cannot be read or written; the message says where, why and what to do."""


class MissingCassetteError(CassetteError):
    """There is no such file."""


class SettingError(CassetteError):
    """The cassette may be good: `spidra_vcr_config` says what it cannot say."""
