"""How requests reach a version: arms of a rollout, queues, batches, shadows."""
