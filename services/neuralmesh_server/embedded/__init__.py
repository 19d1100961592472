"""An inference node within a Python program, without RPC; `neuralmesh.embedded` is its door."""
