"""The kernel's speed table: each operation beside its best peers and beside what the processor can at most."""
