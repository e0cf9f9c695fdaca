"""Pretraining data as Parquet files and a manifest: what is in them. Writes no folder."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nas.data.packing import FOLLOWS, ONE_SEGMENT, RANDOM, Packed
from results.errors import BadInputError
from results.textfile import one_line, read_text

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FORMAT = 1
MANIFEST = "pretraining.json"
KEY = b"subbert"
"""Of what a Parquet file says about itself, as JSON."""

ROW_GROUP = 4096
"""Sequences."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the sequences follow from; the same settings give the same bytes."""

    style: str
    tokens: int
    """Of a sequence at the most."""
    seed: int
    vocabulary: str
    """SHA-256 of the tokens in the order of their ids."""
    sources: tuple[str, ...]
    """The texts, each as `name@sha256:<16 digits>`."""
    limit: int | None = None
    """Tokens after which it ends."""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file."""

    file: str
    sequences: int
    tokens: int
    documents: int
    sha256: str
    """Of the numbers in it, however they are stored."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a folder."""

    settings: Settings
    made_by: Mapping[str, str]
    """Versions."""
    parts: tuple[Part, ...] = ()
    complete: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of all that is in the parts: 64 hexadecimal digits."""
        return digest_of(self.parts)


def digest_of(parts: Iterable[Part]) -> str:
    """SHA-256 of all that is in them, in order."""
    return hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Raises BadInputError: there is none, or it is damaged."""
    path = folder / MANIFEST
    text = read_text(path)
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise BadInputError(_damaged(path, error)) from None
    return _known(found, path)


def _known(found: Manifest, path: Path) -> Manifest:
    if found.settings.format != FORMAT:
        message = f"{path} has format {found.settings.format}, and only {FORMAT} is known here"
        raise BadInputError(message)
    return found


def digest(packed: Packed) -> str:
    """SHA-256 of all its numbers: 64 hexadecimal digits."""
    found = hashlib.sha256()
    for column in (
        packed.ids,
        packed.lengths,
        packed.boundaries,
        packed.next_sentence,
        packed.documents,
    ):
        found.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


def write(packed: Packed, settings: Settings, part: Part, path: Path) -> None:
    """One Parquet file, in row groups; what it is stands in its metadata too."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    starts = np.concatenate([[0], np.cumsum(packed.lengths)]).astype(np.int32)
    columns = {
        "ids": pa.ListArray.from_arrays(pa.array(starts), pa.array(packed.ids)),
        "boundary": pa.array(packed.boundaries),
        "next_sentence": pa.array(
            packed.next_sentence == FOLLOWS, mask=packed.next_sentence == ONE_SEGMENT
        ),
        "document": pa.array(packed.documents),
    }
    said = msgspec.json.encode({"settings": settings, "part": part})
    table = pa.table(columns).replace_schema_metadata({KEY: said})
    pq.write_table(
        table, path, row_group_size=ROW_GROUP, compression="zstd", write_page_checksum=True
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What a Parquet file says about itself."""

    settings: Settings
    part: Part


def said_by(path: Path) -> Said:
    """Raises BadInputError: the file is damaged, or not one of these."""
    import pyarrow as pa

    try:
        with _opened(path) as file:
            metadata = file.schema_arrow.metadata or {}
        if KEY not in metadata:
            message = f"{path} is no pretraining data: make it with `nas data generate`"
            raise BadInputError(message)
        return msgspec.json.decode(metadata[KEY], type=Said)
    except (pa.ArrowException, OSError, msgspec.DecodeError) as error:
        raise BadInputError(_damaged(path, error)) from None


def read_part(path: Path, part: Part) -> Packed:
    """The sequences of a file whose manifest says `part`.

    Raises:
        BadInputError: the file is damaged, or holds something else.
    """
    import pyarrow as pa

    try:
        with _opened(path) as file:
            table = file.read()
        packed = _packed(table)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise BadInputError(_damaged(path, error)) from None
    if (part.sequences, part.tokens) != (len(packed), len(packed.ids)):
        raise BadInputError(_damaged(path, "it does not hold what the manifest says"))
    return packed


def _opened(path: Path) -> "pq.ParquetFile":
    from pyarrow import parquet as pq

    return pq.ParquetFile(path, page_checksum_verification=True)


def _packed(table: "pa.Table") -> Packed:
    ids = table.column("ids").combine_chunks()
    follows = table.column("next_sentence")
    labels = np.where(follows.fill_null(False).to_numpy(), FOLLOWS, RANDOM).astype(np.int8)  # noqa: FBT003
    labels[follows.is_null().to_numpy()] = ONE_SEGMENT
    return Packed(
        ids.flatten().to_numpy().astype(np.int32, copy=False),
        np.diff(ids.offsets.to_numpy()).astype(np.int32, copy=False),
        table.column("boundary").to_numpy().astype(np.int32, copy=False),
        labels,
        table.column("document").to_numpy().astype(np.int64, copy=False),
    )


def _damaged(path: Path, why: object) -> str:
    return f"{path} is damaged ({one_line(why)}): delete its folder and generate it again"
