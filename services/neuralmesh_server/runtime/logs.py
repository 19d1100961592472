"""Structured logs on standard error: one JSON object a line, or columns when a person reads them."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(*, level: int = logging.INFO, console: bool | None = None, worker: int = 0) -> None:
    """Set up structlog for this process.

    Args:
        level: Least level that is written.
        console: Columns instead of JSON; by default when standard error is a terminal.
        worker: Number that every line carries; 0 for none.
    """
    if worker:
        structlog.contextvars.bind_contextvars(worker=worker)
    if console is None:
        console = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(sort_keys=True)
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not console:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write a line: workers share the file
        cache_logger_on_first_use=True,
    )
