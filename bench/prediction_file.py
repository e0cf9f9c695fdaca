"""Tables of predictions as one CSV, Parquet or JSON file, row by row. Predicts nothing."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

import msgspec

from results.errors import BadInputError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".parquet", ".json")
REPEATED = ("runtime", "scheme", "batch", "tokens", "threads", "family", "depth", "hidden")
"""Columns with few different values, told once in a Parquet file."""


class Format(Protocol):
    """Writes tables of one schema into an open file."""

    def write(self, table: "pa.Table") -> None: ...

    def close(self) -> None: ...


class JsonFormat:
    """A list of objects, one to a line, every number with all its digits."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._begun = file, False
        file.write(b"[\n")

    def write(self, table: "pa.Table") -> None:
        names = table.column_names
        columns = [column.to_pylist() for column in table.columns]
        for row in zip(*columns, strict=True):
            text = msgspec.json.encode(dict(zip(names, row, strict=True)))
            self._file.write(b",\n" + text if self._begun else text)
            self._begun = True

    def close(self) -> None:
        self._file.write(b"\n]\n")


class PredictionFile(AbstractContextManager["PredictionFile"]):
    """A file that is there only when it is complete."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Raises BadInputError: another suffix, or the file cannot be written."""
        require_suffix(path)
        self._path, self._columns = path, list(columns)
        self._part = path.with_name(f".{path.name}.part")
        self._format: Format | None = None
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise self._refusal(error) from error

    def write(self, table: "pa.Table") -> None:
        """Add the rows of a table; its columns are picked by name.

        Raises:
            BadInputError: the disk is full, say.
        """
        picked = table.select(self._columns)
        try:
            if self._format is None:
                self._format = _format(self._path.suffix.lower(), self._file, picked.schema)
            self._format.write(picked)
        except OSError as error:
            raise self._refusal(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                if self._format is not None and kind is None:
                    self._format.close()
            if kind is None:
                self._part.replace(self._path)
        except OSError as broken:
            raise self._refusal(broken) from broken
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    def _refusal(self, error: OSError) -> BadInputError:
        reason = error.strerror or str(error)
        return BadInputError(f"cannot export to {self._path} ({reason}): choose another file")


def require_suffix(path: Path) -> None:
    """Refuse a name that says no format.

    Raises:
        BadInputError: naming those that there are.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadInputError(f"cannot export to {path}: the name must end in {', '.join(SUFFIXES)}")


def _format(suffix: str, file: BinaryIO, schema: "pa.Schema") -> Format:
    if suffix == ".json":
        return JsonFormat(file)
    if suffix == ".csv":
        from pyarrow.csv import CSVWriter

        written: Format = CSVWriter(file, schema)
        return written
    from pyarrow.parquet import ParquetWriter

    repeated = [name for name in REPEATED if name in schema.names]
    columns: Format = ParquetWriter(file, schema, use_dictionary=repeated)
    return columns
