"""Errors of the libraries below, as part of a sentence."""


def one_line(error: Exception, length: int = 240) -> str:
    """What an error says, in one line of at most `length` characters."""
    return " ".join(str(error).split())[:length] or type(error).__name__
