"""Resource names from their parts. The servers check them; here they are only put together."""

from __future__ import annotations


def model_name(model: str) -> str:
    """Return `models/{model}`."""
    return f"models/{model}"


def version_name(model: str, version: int | str) -> str:
    """Return `models/{model}/versions/{version}`."""
    return f"models/{model}/versions/{version}"


def alias_name(model: str, alias: str) -> str:
    """Return `models/{model}/aliases/{alias}`."""
    return f"models/{model}/aliases/{alias}"


def assignment_name(assignment: str) -> str:
    """Return `assignments/{assignment}`; a whole name stays as it is."""
    return assignment if assignment.startswith("assignments/") else f"assignments/{assignment}"


def job_name(job: str) -> str:
    """Return `jobs/{job}`; a whole name stays as it is."""
    return job if job.startswith("jobs/") else f"jobs/{job}"


def checks_parent(model: str, version: int | str) -> str:
    """Return the parent whose checks are meant: a version, or without one the model."""
    return version_name(model, version) if version else model_name(model)


def events_parent(model: str, alias: str) -> str:
    """Return the parent whose events are meant; empty for everything."""
    if alias:
        return alias_name(model, alias)
    return model_name(model) if model else ""
