"""The one exception that means: a person must mend the input (exit code 2 of a command)."""


class BadInputError(ValueError):
    """What is wrong, which thing it is, and what to do about it, in one sentence."""
