"""Versions that another server runs."""
