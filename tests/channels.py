"""Options of grpc channels to servers on ports that the system chose.

A process's channels to one address share a connection, and with it the pause after a refusal. Ports come again within a
run of the tests, so that a channel of an earlier test, whose server is gone and which grpc has not let go of yet, would
have a later test told that its server refuses connections.
"""

OWN = [("grpc.use_local_subchannel_pool", 1)]
"""A channel with these shares nothing."""
