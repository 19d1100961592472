"""The labor array at length: `make test-labor`."""
