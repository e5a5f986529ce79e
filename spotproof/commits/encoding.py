"""The value that a function returns, as a file."""

from spotproof.commits.canonical_json import canonical_json
from spotproof.commits.names import value_name
from spotproof.commits.parquet import as_table, to_parquet
from spotproof.commits.staged_file import StagedFile
from spotproof.errors import OutputValueError


def encode_value(value: object, index: int) -> list[StagedFile]:
    """The returned value of shard `index` as at most one file, the same bytes for the same value.

    None: no file. bytes: .bin. str: .txt (UTF-8). Tables of pyarrow, pandas and polars: .parquet. Everything else: .json,
    by the rules of canonical_json.

    Raises:
        OutputValueError: a value of another type; the message names its place.
        ConfigurationError: a table, but pyarrow is not installed.
    """
    if value is None:
        return []
    if isinstance(value, bytes | bytearray | memoryview):
        return [StagedFile.of_bytes(value_name(index, "bin"), bytes(value), records=1)]
    if isinstance(value, str):
        return [StagedFile.of_bytes(value_name(index, "txt"), _utf8(value), records=1)]
    table = as_table(value)
    if table is not None:
        return [StagedFile.of_bytes(value_name(index, "parquet"), to_parquet(table), records=table.num_rows)]
    records = len(value) if isinstance(value, list | tuple | dict) else 1
    return [StagedFile.of_bytes(value_name(index, "json"), canonical_json(value), records=records)]


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise OutputValueError(f"the returned text has lone surrogates at {error.start}; return bytes") from error
