"""What the registry calls for, followed, fetched, verified, opened and kept."""
