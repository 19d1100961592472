"""What versions did on this node, counted and reported."""
