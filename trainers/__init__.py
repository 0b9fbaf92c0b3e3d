"""Training scripts, one a task, and what they share."""
