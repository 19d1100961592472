"""Benchmarks of the running services; the kernel's own are in native/bench."""
