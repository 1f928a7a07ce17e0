"""Models behind a server: a local one for a job, failures, rates."""
