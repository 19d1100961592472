"""The demo: real data, three versions, one of them bad, and the way back. Not part of the servers."""
