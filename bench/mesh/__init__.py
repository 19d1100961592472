"""The mesh's speed table: `python -m bench.mesh`."""
