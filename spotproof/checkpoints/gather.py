"""The first half of a save, while the job stands still: everything that changed is copied or encoded."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from spotproof.checkpoints.manifest import Manifest, MapEntry
from spotproof.checkpoints.state import State
from spotproof.checkpoints.state_map import MapImage, StateMap
from spotproof.checkpoints.workshop import Workshop

if TYPE_CHECKING:
    from spotproof.checkpoints.images.image import ImageGather

CHAIN_MAX: Final = 16  # deltas of a map; each costs one segment at restore
DELTAS_TO_BASE_MAX: Final = 0.5  # a map's base is rewritten once its deltas would exceed this share of it
ROOM_BYTES_MIN: Final = 64 * 2**20  # of the gather buffer, for small states


@dataclass(frozen=True, slots=True, kw_only=True)
class MapGather:
    """What one save carries of a map."""

    target: StateMap
    image: MapImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What one save carries. Nothing of it is the job's any more."""

    values: bytes
    values_changed: bool
    maps: tuple[MapGather, ...]
    images: "tuple[ImageGather, ...]"
    kept_images: frozenset[str]  # names of all images, also of those that did not change

    @property
    def size_bytes(self) -> int:
        """Before packing."""
        values = len(self.values) if self.values_changed else 0
        return (
            values + sum(len(each.image.encoded) for each in self.maps) + sum(each.size_bytes for each in self.images)
        )

    @property
    def changed_bytes(self) -> int:
        """What the job changed since the save before: without what is carried for tidiness."""
        maps = sum(len(each.image.encoded) for each in self.maps)
        return (len(self.values) if self.values_changed else 0) + maps + sum(each.changed_bytes for each in self.images)

    def settle_failed(self) -> None:
        """Nothing of this became durable: the next save carries it again."""
        for each in self.maps:
            each.target.settle(each.image, durable=False)
        for image in self.images:
            image.image.settle(image, None)


class Gatherer:
    """Compares a state with the generation that is on record."""

    def __init__(
        self, *, current: Manifest | None, workshop: Workshop, pool_share: float, may_rebase: bool, all_anew: bool
    ) -> None:
        """What is on record.

        Args:
            current: None if nothing is.
            pool_share: at most this share of all images' bytes is copied; what does not fit travels as whole slices.
            may_rebase: whether old bases may be rewritten for tidiness.
            all_anew: nothing of the generation on record may be built on.
        """
        self._current = current
        self._workshop = workshop
        self._pool_share = pool_share
        self._may_rebase = may_rebase
        self._all_anew = all_anew
        self._maps: list[MapGather] = []
        self._images: list[ImageGather] = []

    def gather(self, state: State, *, values_on_record: bytes) -> Gathered | None:
        """What to carry; None if the state is the one on record.

        Raises:
            UnsavableValueError: the state holds a type that can't be saved; the text names its place.
            CheckpointError: a program that writes into the state's folders can't be held still.
        """
        with state.held_still():
            return self._gather(state, values_on_record)

    def _gather(self, state: State, values_on_record: bytes) -> Gathered | None:
        values = state.encode_values()
        try:
            self._gather_maps(state)
            self._gather_images(state)
        except BaseException:
            self._gathered(state, values, values_on_record).settle_failed()
            for each in self._images:
                self._workshop.pool.give_back(each.buffer)
            raise
        gathered = self._gathered(state, values, values_on_record)
        dropped = self._current is not None and not self._current.images.keys() <= gathered.kept_images
        changed = gathered.maps or gathered.images or gathered.values_changed or dropped
        return gathered if changed else None

    def _gathered(self, state: State, values: bytes, values_on_record: bytes) -> Gathered:
        return Gathered(
            values=values,
            values_changed=values != values_on_record or self._all_anew,
            maps=tuple(self._maps),
            images=tuple(self._images),
            kept_images=frozenset(state.images),
        )

    def _gather_maps(self, state: State) -> None:
        for each in state.maps.values():
            entry = None if self._current is None else self._current.maps.get(each.name)
            if entry is None and not len(each):
                continue
            rebase = partial(is_rebase_due, entry) if self._may_rebase and entry is not None else None
            image = each.gather(base=self._all_anew or entry is None, rebase=rebase)
            if image is not None:
                self._maps.append(MapGather(target=each, image=image))

    def _gather_images(self, state: State) -> None:
        if not state.images:
            return
        room = room_bytes(tracked_bytes(state), pool_share=self._pool_share)
        for each in state.images.values():
            gathered = each.gather(
                self._workshop.pool, room_bytes=room, may_rebase=self._may_rebase, all_anew=self._all_anew
            )
            if gathered is not None:
                self._images.append(gathered)
                room -= len(gathered.buffer)


def tracked_bytes(state: State) -> int:
    """Of all images, as far as they were ever looked at."""
    return sum(len(each.shadow) for each in state.images.values())


def room_bytes(tracked: int, *, pool_share: float) -> int:
    """How many changed bytes of images of `tracked` bytes are copied at most; what is beyond travels as whole slices."""
    return max(ROOM_BYTES_MIN, int(pool_share * tracked))


def is_rebase_due(entry: MapEntry, delta_bytes: int) -> bool:
    """Whether one more delta of about so many bytes makes restoring a map cost more than writing it anew."""
    deltas_bytes = delta_bytes + sum(each.raw_bytes for each in entry.deltas)
    return len(entry.deltas) >= CHAIN_MAX or deltas_bytes > DELTAS_TO_BASE_MAX * entry.base.raw_bytes
