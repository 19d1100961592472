"""The inference service: follows the registry, holds versions ready, and answers predictions."""
