"""An edge node: the desired state of one node, kept through every cut of the line."""
