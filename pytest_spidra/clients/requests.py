"""requests, which sends through urllib3: here only what others replace in it.

responses and requests-mock answer in requests' own place, so urllib3 is not asked any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_spidra.clients.replaced import ReplacedFunction

if TYPE_CHECKING:
    from pytest_spidra.clients.adapter import Attachment


class RequestsAdapter:
    """Stands before what has replaced functions of requests.

    Args:
        attachment: The handler's.

        module: The library, as it was imported.
    """

    def __init__(self, attachment: Attachment, module: Any) -> None:
        owners = (module.Session, module.adapters.HTTPAdapter)
        self._methods = [ReplacedFunction(attachment, owner, "send", _address) for owner in owners]
        self.repatch()

    def repatch(self) -> None:
        """Stand before everybody who has replaced them since."""
        for method in self._methods:
            method.repatch()

    def close(self) -> None:
        """Put everything back."""
        for method in self._methods:
            method.unpatch()


def _address(owner: Any, request: Any = None, **options: Any) -> tuple[str, str, int | None, str] | None:  # noqa: ARG001 - a method's arguments
    url = options.get("url") or request
    parts = urlsplit(url if isinstance(url, str) else getattr(url, "url", None) or "")
    try:
        return parts.scheme, parts.hostname or "", parts.port, parts.path or "/"
    except ValueError:  # a port that is none; requests says so
        return None
