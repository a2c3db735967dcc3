"""Files behind signed URLs: pages of crawls and screenshots, as an object storage has them.

That a URL is good for an hour from the GET that returned it is documented (docs.spidra.io/api-reference, pages of a
crawl); that the storage, and not Spidra, answers 403 with XML afterwards is how such storages are.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.fake.documents import Documents
    from pytest_spidra.traffic.request import Request

LIFE = 3600  # seconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = "%Y%m%dT%H%M%SZ"


class Files:
    """Signs URLs and answers them.

    Args:
        content_of: Returns a file's bytes by its name, None when there is none.
    """

    def __init__(self, content_of: Callable[[str], bytes | None]) -> None:
        self.base_url = "https://api.spidra.io/api"
        self.documents: Documents | None = None
        self._content_of = content_of

    def url(self, name: str, now: int) -> str:
        """Return a URL for a file that is good for an hour."""
        date = (_EPOCH + timedelta(microseconds=now)).strftime(_FORM)
        query = urlencode(
            {"X-Amz-Date": date, "X-Amz-Expires": LIFE, "X-Amz-Signature": self._signature(name, date)}
        )
        return f"{self.base_url}/storage/{name}?{query}"

    def answer(self, request: Request, name: str | None, now: int) -> Reply:
        """Answer a GET of a file: no key is asked for, and what is wrong is told in XML."""
        given = request.parameters
        date = given.get("X-Amz-Date", "")
        if given.get("X-Amz-Signature") != self._signature(name or "", date):
            return _refusal(403, "SignatureDoesNotMatch", "The request signature does not match.")
        signed = (datetime.strptime(date, _FORM).replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
        if now > signed + LIFE * MICROSECONDS:
            return _refusal(403, "AccessDenied", "Request has expired")
        if request.method == "PUT":
            document = self.documents.find(name, now) if self.documents else None
            if document is not None:
                document.content = request.content
                return Reply(200)
        content = self._content_of(name or "")
        if content is None:
            return _refusal(404, "NoSuchKey", "The specified key does not exist.")
        kinds = {"html": "text/html", "md": "text/markdown", "png": "image/png"}
        kind = kinds.get((name or "").rpartition(".")[2], "application/octet-stream")
        return Reply(200, content, {"content-type": kind})

    @staticmethod
    def _signature(name: str, date: str) -> str:
        return sha256(f"{name} {date}".encode()).hexdigest()


def _refusal(status: int, code: str, message: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status, body.encode(), {"content-type": "application/xml"})
