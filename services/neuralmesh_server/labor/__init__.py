"""The ALDA labor array: batch jobs whose bytes depend on nothing but their plan. It runs no model itself."""
