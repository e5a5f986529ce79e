"""Tables as Parquet, the same bytes for the same table: writer options are fixed, chunking does not matter."""

from typing import TYPE_CHECKING, Any, Final

from spotproof.errors import ConfigurationError, OutputValueError

if TYPE_CHECKING:
    import pyarrow

ROW_GROUP_ROWS: Final = 2**20
_NOT_QUITE: Final = {
    ("polars", "LazyFrame"): "call .collect() first",
    ("polars", "Series"): "call .to_frame() first",
    ("pandas", "Series"): "call .to_frame() first",
}


def as_table(value: object) -> "pyarrow.Table | None":
    """The value as an Arrow table, if it is a pyarrow, pandas or polars table; None if it is none.

    Raises:
        OutputValueError: nearly a table (a lazy frame, a series), or one that Arrow can't represent.
        ConfigurationError: a table, but pyarrow is not installed.
    """
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(value).__mro__}
    for kind in kinds & _NOT_QUITE.keys():
        raise OutputValueError(f"the returned value is a {'.'.join(kind)}: {_NOT_QUITE[kind]}")
    if ("pyarrow", "Table") in kinds:
        return value
    if ("pyarrow", "RecordBatch") in kinds:
        return _pyarrow().Table.from_batches([value])
    if ("pandas", "DataFrame") in kinds:
        return _converted(value, lambda frame: _pyarrow().Table.from_pandas(frame))
    if ("polars", "DataFrame") in kinds:
        return _converted(value, _from_polars)
    return None


def to_parquet(table: "pyarrow.Table") -> bytes:
    """The table as one Parquet file.

    Raises:
        OutputValueError: a column type that Parquet has no place for.
    """
    arrow = _pyarrow()
    import pyarrow.parquet

    sink = arrow.BufferOutputStream()
    try:
        pyarrow.parquet.write_table(
            table.combine_chunks(),
            sink,
            row_group_size=ROW_GROUP_ROWS,
            compression="zstd",
            compression_level=3,
            version="2.6",
            data_page_version="1.0",
            use_dictionary=True,
            write_statistics=True,
        )
    except arrow.ArrowException as error:
        raise OutputValueError(f"the returned table can't be written as Parquet: {_line(error)}") from error
    return bytes(sink.getvalue().to_pybytes())


def _from_polars(frame: Any) -> Any:
    for name, kind in frame.schema.items():
        if "Object" in str(kind):  # polars would hand over memory addresses
            raise TypeError(f"column {name!r} holds Python objects")
    return frame.to_arrow()


def _converted(value: Any, convert: Any) -> "pyarrow.Table":
    arrow = _pyarrow()
    try:
        return convert(value)
    except (arrow.ArrowException, TypeError) as error:
        raise OutputValueError(f"the returned data frame has no Arrow form: {_line(error)}") from error


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigurationError(
            "the job returns a table, which needs pyarrow: add spotproof[parquet] to the image"
        ) from error
    return pyarrow


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
