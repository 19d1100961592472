"""Long forms of the mesh's tests: `make test-mesh`."""
