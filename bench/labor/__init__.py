"""The labor array's speed table."""
