"""The rows of the mesh's table, one a module."""
