"""The labor array's demo: `python -m neuralmesh_server.demo.labor`."""
