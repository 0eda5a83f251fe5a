"""The one error that a user's mistake or a damaged file raises: a single clear line."""


class KitError(Exception):
    """Bad input: the message names the file or argument, what was found and what was expected.

    The ``facedepth`` command prints the message as one line and exits with code 2.
    """


class DiskFullError(KitError):
    """Nothing more can be written: a run over many files ends, instead of passing over one."""
