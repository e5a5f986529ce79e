"""A shard's state as the user's code sees it: one mapping, and named maps, arrays, tensors and files beside it."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotproof.checkpoints.names import flaw_in_path, flaw_in_paths
from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.state_directory import LISTINGS, StateDirectory, Still, below
from spotproof.checkpoints.state_map import StateMap, check_map_name
from spotproof.checkpoints.workshop import Workshop
from spotproof.errors import UnsavableValueError

if TYPE_CHECKING:
    import numpy.typing as npt

    from spotproof.checkpoints.images.image import Image
    from spotproof.checkpoints.images.live import Live


class State(MutableMapping[str, Any]):
    """Small values inline (`state["cursor"]`), big things by name: maps, arrays, tensors, files.

    Empty at first; after an interruption, what was saved. Two places never share one object after a restore: store a
    value once and refer to it by key. Works by itself too, so a job can be tested without anything else.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        maps: Mapping[str, Mapping[Any, Any]] | None = None,
        *,
        images: Mapping[str, "Image"] | None = None,
        workshop: Workshop | None = None,
    ) -> None:
        self._values: dict[str, Any] = dict(values or {})
        self._maps = {name: StateMap(name, entries) for name, entries in (maps or {}).items()}
        self._images: dict[str, Image] = dict(images or {})
        self._directories: dict[str, StateDirectory] = {}
        self._workshop = workshop or Workshop()

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise UnsavableValueError(f"state[...] takes text as key, got {key!r}; use state.map(name) for other keys")
        DEFAULT.check(value, at=f"state[{key!r}]")
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"State({self._values!r}, maps={sorted(self._maps)}, images={sorted(self._images)})"

    def map(self, name: str) -> StateMap:
        """The map of that name, empty at first: always the same object within one worker.

        Raises:
            UnsavableValueError: the name is not text of 1 to 200 printable characters.
        """
        check_map_name(name)
        if name.startswith(LISTINGS):
            raise UnsavableValueError(
                f"state.map({name!r}): names that begin with {LISTINGS} are state.directory's own"
            )
        return self._maps.setdefault(name, StateMap(name))

    def array(self, name: str, shape: int | tuple[int, ...], dtype: Any = "float64") -> "npt.NDArray[Any]":
        """The array of that name, zeros at first. Write into it; assigning a new array to your variable tracks nothing.

        Args:
            name: 1 to 200 printable characters.
            shape: of the array, as numpy takes it.
            dtype: of fixed size: numbers, booleans, fixed-width text.

        Raises:
            UnsavableValueError: bad name, shape or dtype, or others than when it was saved.
        """
        from spotproof.checkpoints.images.array import LiveArray, check_dtype, check_shape, new_array

        check_map_name(name)
        image = self._images.get(f"array/{name}")
        if image is None:
            image = self._add(f"array/{name}", new_array(name, shape, dtype))
            image.reserve(image.size_bytes)
            self._workshop.warm(image)
        live = image.live
        assert isinstance(live, LiveArray), "only arrays are stored below array/"
        wanted = check_shape(name, shape), check_dtype(name, dtype)
        # Byte order apart: whoever names none goes on where another architecture stopped.
        if (live.array.shape, live.dtype.newbyteorder("=")) != (wanted[0], wanted[1].newbyteorder("=")):
            raise UnsavableValueError(
                f"state.array({name!r}) is {live.dtype} of shape {live.array.shape}, asked for as {wanted[1]} of {wanted[0]}"
            )
        return live.array

    def file(self, path: str) -> Path:
        """Where the file is on this host; after an interruption it is there, as it was saved.

        Write it with whatever you like (SQLite, a solver's restart file). What the disk holds at a `yield` is saved, so
        flush or commit before. Files are compared whole at each save, at about 10 GB/s.

        Args:
            path: relative, such as "work.sqlite" or "restart/step.bin".

        Raises:
            UnsavableValueError: absolute, leaving the folder, or malformed.
        """
        name = check_file_path(path)
        taken = [each for each in self._directories if name == each or name.startswith(f"{each}/")]
        if taken:
            raise UnsavableValueError(
                f"state.file({path!r}): state.directory({taken[0]!r}) saves what is in it already"
            )
        others = {key.removeprefix("file/") for key in self._images if key.startswith("file/")}
        flaw = None if name in others else flaw_in_paths([name, *others])
        if flaw is not None:
            raise UnsavableValueError(f"state.file({path!r}): {flaw}; forget_file() the one that is no more")
        return self._file(name)

    def _file(self, name: str) -> Path:
        from spotproof.checkpoints.images.file import LiveFile

        image = self._images.get(f"file/{name}")
        if image is None:
            where = self._workshop.path_of(f"file/{name}")
            where.parent.mkdir(parents=True, exist_ok=True)
            image = self._add(f"file/{name}", LiveFile(where, scratch_dir=str(self._workshop.folder)))
        assert isinstance(image.live, LiveFile), "only files are stored below file/"
        return image.live.path

    def forget_file(self, path: str) -> None:
        """The file is no part of the state any more; what is on the disk stays."""
        self._forget_file(check_file_path(path))

    def _forget_file(self, name: str) -> None:
        image = self._images.pop(f"file/{name}", None)
        if image is not None:
            image.close()

    def directory(self, name: str, *, still: Still | None = None) -> Path:
        """Where the folder is on this host; after an interruption it is there, as it was saved, with all it held.

        For programs that keep their progress in files of their own choosing. At each save the folder is looked at anew:
        small files travel whole when they changed, of files above 64 KiB only changed blocks do; permissions, times,
        empty folders and relative links come back too. Sockets, pipes and owners do not; hard links become copies.

        Args:
            name: relative path, such as "work"; `state.file` takes none below it.
            still: called for each save; the context it returns holds whoever writes there still meanwhile. None: only
                this job does, which stands still by itself.

        Raises:
            UnsavableValueError: bad name, or it overlaps with another folder or file of the state.
            ScratchFullError: the disk is full.
        """
        check_file_path(name)
        known = self._directories.get(name)
        if known is not None:
            return known.root
        self._check_apart(name)
        listing = self._maps.setdefault(f"{LISTINGS}{name}", StateMap(f"{LISTINGS}{name}"))
        directory = self._directories[name] = StateDirectory(
            name,
            root=self._workshop.path_of(f"file/{name}"),
            listing=listing,
            restored=below(name, self._images),
            track=lambda path: self._track_file(f"{name}/{path}"),
            forget=lambda path: self._forget_file(f"{name}/{path}"),
            still=still,
        )
        return directory.root

    @contextmanager
    def held_still(self) -> Iterator[None]:
        """Nobody writes into the state's folders inside this block, and what they hold is part of the state."""
        with ExitStack() as stack:
            for directory in self._directories.values():
                stack.enter_context(directory.still())
            for directory in self._directories.values():
                directory.look()
            yield

    @property
    def has_directories(self) -> bool:
        """Whether only a look at the disk can tell what changed."""
        return bool(self._directories)

    def tensors(
        self, name: str, tensors: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Save these tensors from now on; saved values are written into them in place first.

        Args:
            name: 1 to 200 printable characters.
            tensors: name to torch tensor or numpy array, for example `model.state_dict()`; or a function that returns
                such a mapping and is called at each save, for sets that grow (an optimizer's). None: only look.

        Returns:
            Saved tensors that `tensors` does not have, as numpy arrays; with None, all of them.

        Raises:
            UnsavableValueError: bad name, a value that is no tensor, or another dtype or shape than when it was saved.
        """
        from spotproof.checkpoints.images.tensors import LiveTensors, load_into

        check_map_name(name)
        image = self._images.get(f"tensors/{name}")
        live = None if image is None else image.live
        assert live is None or isinstance(live, LiveTensors), "only tensors are stored below tensors/"
        saved = {} if live is None else live.saved()
        if tensors is None:
            return {key: each.to_numpy() for key, each in saved.items()}
        give = tensors if callable(tensors) else lambda: tensors
        rest = load_into(name, give(), saved)
        if live is None:
            self._add(f"tensors/{name}", LiveTensors(name, give))
        else:
            live.bind(give)
        return {key: each.to_numpy() for key, each in rest.items()}

    @property
    def maps(self) -> Mapping[str, StateMap]:
        """All maps that were named so far."""
        return self._maps

    @property
    def images(self) -> Mapping[str, "Image"]:
        """All arrays, files and sets of tensors, by kind and name."""
        return self._images

    @property
    def dirty_bytes(self) -> int:
        """About how many bytes of changed map entries a save would carry now; inline values always travel."""
        return sum(each.dirty_bytes for each in self._maps.values())

    def encode_values(self) -> bytes:
        """All inline values as bytes.

        Raises:
            UnsavableValueError: a value was changed into something that can't be saved; the text names its key.
        """
        for key, value in self._values.items():
            DEFAULT.check(value, at=f"state[{key!r}]")
        return DEFAULT.encode(self._values, at="state")

    def _track_file(self, name: str) -> None:
        self._file(name)

    def _check_apart(self, name: str) -> None:
        listed = f"{LISTINGS}{name}" in self._maps
        own = [] if listed else [f"{name}/{path}" for path in below(name, self._images)]
        folders = [
            each for each in self._directories if f"{each}/".startswith(f"{name}/") or f"{name}/".startswith(f"{each}/")
        ]
        if f"file/{name}" in self._images or own or folders:
            other = [*own, *folders, name][0]
            raise UnsavableValueError(f"state.directory({name!r}) overlaps with {other!r}, which is saved already")

    def _add(self, key: str, live: "Live") -> "Image":
        image = self._images[key] = self._workshop.image(key, live)
        image.arm()
        return image


def check_file_path(path: object) -> str:
    """The path as text.

    Raises:
        UnsavableValueError: absolute, leaving its folder, or malformed.
    """
    flaw = flaw_in_path(str(path))
    if flaw is not None:
        raise UnsavableValueError(f"state.file {flaw}")
    return str(path)
