"""The metrics service: what versions did and how often they were right, counted once whatever repeats or crashes."""
