"""The asynchronous client. `tools/unasync.py` generates the synchronous one from this folder."""
