"""Engines of the labor array: what runs actions, here, on workers of our own, or on Dask. They promise nothing."""
