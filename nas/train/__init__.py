"""Training: one loop, and what is learned in it, one kind a file."""
