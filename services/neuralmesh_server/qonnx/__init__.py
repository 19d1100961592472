"""Imports trained binary networks from QONNX into what LIAM runs; docs/qonnx.md states the subset and the proof.

`importer` needs the package `onnx` (the extra `qonnx`), which nothing else of the services does.
"""
