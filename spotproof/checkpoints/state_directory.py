"""A folder of a shard's state: its listing and small files are a map, its big files are images."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from spotproof.checkpoints.directory_entries import BIG, find_flaw
from spotproof.checkpoints.directory_files import restore, scan
from spotproof.checkpoints.state_map import StateMap
from spotproof.errors import CheckpointCorruptError

LISTINGS: Final = "directory/"  # names of the maps that hold listings
IMAGES: Final = "file/"  # names of the images that hold files
Still = Callable[[], AbstractContextManager[Any]]


class StateDirectory:
    """One folder. `look` brings listing and images up to what the disk holds; a save then carries the difference."""

    def __init__(
        self,
        name: str,
        *,
        root: Path,
        listing: StateMap,
        restored: Iterable[str],
        track: Callable[[str], None],
        forget: Callable[[str], None],
        still: Still | None,
    ) -> None:
        """Make what was saved, if anything was.

        Args:
            root: where the folder lies on this host.
            listing: the map of its entries.
            restored: paths of the big files whose bytes were restored.
            track: makes a big file an image, by its path below the folder.
            forget: undoes that.
            still: holds whoever writes into the folder still while a save looks at it; None: nobody does.
        """
        self.name = name
        self.root = root
        self.still: Still = still or nullcontext
        self._listing = listing
        self._big = set(restored)
        self._track = track
        self._forget = forget
        restore(root, dict(listing))

    def look(self) -> None:
        """Take in what the folder holds now.

        Raises:
            UnsavableValueError: something in it can't be read or could not be restored.
        """
        found = scan(self.name, self.root, big=self._big)
        big = {path for path, entry in found.items() if entry[0] == BIG}
        for path in sorted(self._big - big):
            self._forget(path)
        for path in sorted(big - self._big):
            self._track(path)
        self._big = big
        for path in [path for path in self._listing if path not in found]:
            del self._listing[path]
        for path, entry in found.items():
            if self._listing.get(path) != entry:
                self._listing[path] = entry


def check_listings(maps: Mapping[str, Mapping[Any, Any]], images: Iterable[str]) -> None:
    """Nothing, if every restored folder can be made again without touching anything outside of it.

    Args:
        maps: all restored maps by name.
        images: names of all restored images.

    Raises:
        CheckpointCorruptError: an entry is malformed, leads out of its folder, or has no content.
    """
    known = list(images)
    for name, entries in maps.items():
        if name.startswith(LISTINGS):
            folder = name.removeprefix(LISTINGS)
            flaw = find_flaw(entries, frozenset(below(folder, known)))
            if flaw is not None:
                raise CheckpointCorruptError(f"the saved folder {folder!r} can't be restored: {flaw.text}")


def below(name: str, images: Iterable[str]) -> Iterator[str]:
    """Paths, relative to the folder `name`, of the images that are files in it."""
    prefix = f"{IMAGES}{name}/"
    return (image.removeprefix(prefix) for image in images if image.startswith(prefix))
