"""Text a person wrote, read whole or refused in one sentence. Knows nothing of its meaning."""

from pathlib import Path

from results.errors import BadInputError

MOST_BYTES = 256 << 20
"""Half a million architectures, one per line; more is the wrong file."""


def read_text(path: Path | str, most_bytes: int = MOST_BYTES) -> str:
    """The file as UTF-8 text, its byte order mark (if any) dropped."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise BadInputError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise BadInputError(f"{path} is a folder; name a file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise BadInputError(f"{path} cannot be read: {reason}") from error
    if len(content) > most_bytes:
        raise BadInputError(f"{path} is larger than {most_bytes} bytes; is it the right file?")
    return _decoded(content, path)


def _decoded(content: bytes, path: Path | str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"{path} is not UTF-8 text (line {line}); save it as UTF-8 or name another file"
        raise BadInputError(message) from None
    if "\0" in text:
        raise BadInputError(f"{path} is not a text file: it holds zero bytes")
    return text


def one_line(text: object, most: int = 200) -> str:
    """A library's message or a person's value, made fit to stand inside a sentence."""
    words = " ".join(str(text).split())
    return words if len(words) <= most else words[: most - 3] + "..."
