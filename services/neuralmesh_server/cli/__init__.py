"""The command line: `neuralmesh up`, `push`, `promote`, `predict` and so on. It offers only `main`."""

from neuralmesh_server.cli.program import main

__all__ = ["main"]
