"""Places for large documents: asked for, filled by a signed PUT, and given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.fake.parses import NO_FILE
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.strict_json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.fake.jobs import Jobs
    from pytest_spidra.traffic.request import Request

MOST = 500 * 1024 * 1024


class Uploads:
    """``POST /parse/uploads``, the PUT to the URL that it gives, and ``DELETE /parse/files/{fileId}``.

    Args:
        jobs: Whose documents these are.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.endpoints: dict[str, Callable[[Request, str | None, int], Reply]] = {
            "parse.upload": self._upload,
            "parse.delete_file": self._delete,
        }

    def _upload(self, request: Request, _: str | None, now: int) -> Reply:
        body = json_or_none(request.content)
        given = body if isinstance(body, dict) else {}
        name, size = given.get("fileName"), given.get("size")
        errors = [] if isinstance(name, str) and name else ["fileName must be a string."]
        if type(size) is not int or not 0 <= size <= MOST:
            errors.append(f"size must be a number from 0 to {MOST}.")
        if errors:
            return error_replies.invalid(errors)
        file_id = self._jobs.documents.add(str(name), None, now)
        return Reply.of(200, {"uploadUrl": self._jobs.files.url(file_id, now), "fileId": file_id})

    def _delete(self, _: Request, file_id: str | None, now: int) -> Reply:
        if self._jobs.documents.find(file_id, now) is None:
            return error_replies.error_reply(404, NO_FILE)
        self._jobs.documents.delete(file_id or "")
        return Reply.of(200, {"status": "deleted"})
