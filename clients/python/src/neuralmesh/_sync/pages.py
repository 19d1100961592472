# Generated from _async/pages.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""Pages of a list as one iterator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuralmesh._sync.connection import Connection


def pages(connection: Connection, method: str, page: type[Any], request: Any, field: str) -> Iterator[Any]:
    """Yield the resources of all pages; each page is asked for when the one before is used up."""
    while True:
        response = connection.unary(method, page, request)
        for resource in getattr(response, field):
            yield resource
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token
