"""Texts to learn from: corpora without labels, tasks with them."""
