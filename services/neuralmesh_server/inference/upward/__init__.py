"""What a node hands to the node further up: calls that it cannot serve, and calls that it serves late."""
