"""What the parts of a state are made with: memory, trackers, a folder for files."""

import logging
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spotproof import events
from spotproof.concurrency import NoThreadError, Spawner
from spotproof.errors import CheckpointCorruptError, ScratchFullError

if TYPE_CHECKING:
    from spotproof.checkpoints.images.image import Image
    from spotproof.checkpoints.images.live import Live
    from spotproof.checkpoints.memory.arena import BufferPool
    from spotproof.checkpoints.memory.trackers.base import Tracker
    from spotproof.checkpoints.memory.trackers.choose import TrackerChoice

logger = logging.getLogger(__name__)

SLICE_BYTES: Final = 16 * 2**20
DELTA_BYTES: Final = 16 * 2**20
CHAIN_MAX: Final = 64  # deltas of an image; each costs one request at restore
WARM_BYTES_MIN: Final = 2**20


@dataclass
class Workshop:
    """One lease's. numpy is loaded with the first image, not before: most jobs need none."""

    scratch_dir: str | None = None  # where the folder is made; None: the system's temporary folder
    slice_bytes: int = SLICE_BYTES
    delta_bytes: int = DELTA_BYTES
    chain_max: int = CHAIN_MAX
    tracker: "TrackerChoice" = "auto"
    spawner: Spawner | None = None  # touches fresh memory behind the job's back; None: at first use
    _folder: Path | None = field(default=None, init=False)
    _pool: "BufferPool | None" = field(default=None, init=False)
    _images: "list[Image]" = field(default_factory=list, init=False)
    _told: set[str] = field(default_factory=set, init=False)  # why images are tracked as they are, as logged

    @property
    def folder(self) -> Path:
        """This lease's own folder, made when it is first asked for.

        Raises:
            ScratchFullError: the disk is full.
        """
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(prefix="spotproof-shard-", dir=self.scratch_dir))
            except OSError as error:
                raise ScratchFullError(f"cannot make a scratch folder: {error}") from error
        return self._folder

    @property
    def pool(self) -> "BufferPool":
        """Buffers for what is gathered."""
        if self._pool is None:
            from spotproof.checkpoints.memory.arena import BufferPool

            self._pool = BufferPool()
        return self._pool

    def image(self, name: str, live: "Live") -> "Image":
        """A tracked image over the live bytes."""
        from spotproof.checkpoints.images.image import Image

        made = Image(
            name,
            live,
            slice_bytes=self.slice_bytes,
            delta_bytes=self.delta_bytes,
            chain_max=self.chain_max,
            track=self._track,
        )
        self._images.append(made)
        return made

    def warm(self, image: "Image") -> None:
        """Let the kernel back a fresh shadow now: the first touch of memory costs many times its use."""
        from spotproof.checkpoints.memory.arena import prefault

        spawner = self.spawner
        if spawner is not None and len(image.shadow) >= WARM_BYTES_MIN:
            with suppress(NoThreadError):  # the first save touches it, and takes longer
                spawner.spawn(lambda: prefault(image.shadow), name="checkpoint-prefault")

    def restored(self, name: str, *, kind: str, descr: dict[str, Any], length: int) -> "Live":
        """The live side of an image that a manifest describes, to be loaded.

        Raises:
            CheckpointCorruptError: the description makes no sense.
            ScratchFullError: there is no room for a file.
        """
        match kind:
            case "array":
                from spotproof.checkpoints.images.array import restored_array

                return restored_array(descr, length)
            case "file":
                from spotproof.checkpoints.images.file import restored_file

                return restored_file(self.path_of(name), descr, length, scratch_dir=str(self.folder))
            case "tensors":
                from spotproof.checkpoints.images.tensors import LiveTensors

                live = LiveTensors(name, None)
                live.restored(length)
                return live
        raise CheckpointCorruptError(f"image {name!r} is of kind {kind!r}, which no worker ever wrote")

    def path_of(self, name: str) -> Path:
        """Where the file of image `name` lies on this host."""
        return self.folder / "state" / name.removeprefix("file/")

    def clear(self) -> None:
        """Stop tracking, remove the folder with its content and forget it: a new one is made when it is needed."""
        for image in self._images:
            image.close()
        self._images.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _track(self, image: "Image") -> "Tracker":
        from spotproof.checkpoints.memory.trackers.choose import choose_tracker

        memory = image.live.memory()
        chosen = choose_tracker(self.tracker, source=image, shadow=lambda: image.shadow, memory=memory)
        if chosen.reason not in self._told:  # a folder may hold thousands of files
            self._told.add(chosen.reason)
            fields = {"image": image.name, "tracker": chosen.tracker.name, "reason": chosen.reason}
            logger.info(events.CHANGES_TRACKED, extra=fields)
        return chosen.tracker
