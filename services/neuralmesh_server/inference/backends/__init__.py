"""What runs versions: one backend for each kind, and how their work is bounded and ended."""
