"""Builds the cffi binding of the LIAM kernel; everything else is declared in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["native/liam_core/_build.py:ffibuilder"])
