"""Registry of serializers: one line each, found by the format id that a manifest carries."""

from typing import Final

from spotproof.checkpoints.serializers.base import Serializer
from spotproof.checkpoints.serializers.typed_json import TypedJson
from spotproof.errors import CheckpointTooNewError

DEFAULT: Final[Serializer] = TypedJson()
SERIALIZERS: Final[dict[str, Serializer]] = {
    DEFAULT.format_id: DEFAULT,
}


def serializer_for(format_id: str) -> Serializer:
    """The serializer that wrote `format_id`.

    Raises:
        CheckpointTooNewError: this worker has none; a newer one wrote the checkpoint.
    """
    serializer = SERIALIZERS.get(format_id)
    if serializer is None:
        known = ", ".join(sorted(SERIALIZERS))
        raise CheckpointTooNewError(f"checkpoint format {format_id!r} is unknown here ({known}); upgrade this worker")
    return serializer
