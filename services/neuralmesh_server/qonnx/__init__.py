"""Imports trained binary networks from QONNX into what LIAM runs; docs/qonnx.md states the subset and the proof.

Needs the package `onnx` (the extra `qonnx`), which nothing else of the services does.
"""

from neuralmesh_server.qonnx.importer import Imported, import_network

__all__ = ["Imported", "import_network"]
