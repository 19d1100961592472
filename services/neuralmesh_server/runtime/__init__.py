"""What every server of the suite is built from: transport, handlers, statuses, TLS, logs and the life of a process."""
