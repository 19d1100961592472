"""The mesh's demo: `python -m neuralmesh_server.demo.mesh`."""
