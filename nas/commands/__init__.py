"""The verbs of the `nas` command, one a file."""
