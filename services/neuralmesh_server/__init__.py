"""The servers of Neural Mesh: registry, inference and metrics, and what they share."""
