"""Its rows."""
