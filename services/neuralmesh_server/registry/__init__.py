"""The registry service: models, immutable versions, their bytes, the aliases over them, and the log of every change."""
