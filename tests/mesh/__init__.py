"""The mesh as a whole: simulated under a virtual clock, and as real processes behind bad lines."""
