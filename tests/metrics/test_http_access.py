"""Prometheus behind access: figures need a token that may read everything, health needs none."""

import asyncio
from dataclasses import replace

import pytest

from neuralmesh_server.metrics.app import MetricsApp
from neuralmesh_server.runtime import tokens
from neuralmesh_server.runtime.access import Grant


async def status_of(app: MetricsApp, path: str, *headers: str) -> int:
    """Return the HTTP status of a request."""
    endpoint = app.http_endpoint
    assert endpoint is not None
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1])


@pytest.fixture
async def guarded(settings, tmp_path):
    path = tmp_path / "tokens.json"
    grants = {"scraper": Grant("reader", ("*",)), "app": Grant("reader", ("net",)), "node": Grant("node", ("*",))}
    tokens.write(path, [tokens.make_entry(name, [grant], token=f"nmt_{name}") for name, grant in grants.items()])
    app = MetricsApp(replace(settings, server=replace(settings.server, tokens=path)))
    await app.start()
    yield app
    await app.stop()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 401),
        (("Authorization: Bearer nmt_other",), 401),
        (("Authorization: Basic eDp5",), 401),
        (("Authorization: Bearer nmt_app",), 403),
        (("Authorization: Bearer nmt_node",), 403),
        (("Authorization: Bearer nmt_scraper",), 200),
        (("authorization:   bearer nmt_scraper",), 200),
    ],
)
async def test_figures_need_a_token_that_reads_all_models(guarded, headers, status):
    """Strangers are 401, those who may not read every model are 403, and health is open."""
    assert await status_of(guarded, "/metrics", *headers) == status
    assert await status_of(guarded, "/healthz", *headers) == 200


async def test_without_tokens_the_figures_are_open(app):
    """A service without a tokens file answers every scraper that reaches it."""
    assert await status_of(app, "/metrics") == 200
