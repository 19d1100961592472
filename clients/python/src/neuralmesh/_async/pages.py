"""Pages of a list as one iterator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh._async.connection import AsyncConnection


async def pages(
    connection: AsyncConnection, method: str, page: type[Any], request: Any, field: str
) -> AsyncIterator[Any]:
    """Yield the resources of all pages; each page is asked for when the one before is used up."""
    while True:
        response = await connection.unary(method, page, request)
        for resource in getattr(response, field):
            yield resource
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token
