"""The rows of the kernel's speed table, one module each."""
