"""Planning a run: list and pin the input, tell its format, cut it, measure the skew."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from spotproof.errors import InputError
from spotproof.retries import Retrier
from spotproof.shards.model import InputFormat, InputPart, ObjectPin, PlannedShard, ShardPlan, Skew
from spotproof.shards.sources.formats import MAGIC_BYTES, ObjectFormat, detect_format, format_from_name, one_format
from spotproof.shards.sources.objects import InputObjects, empty_input
from spotproof.shards.sources.planned_input import InputObject, PlannedInput
from spotproof.shards.spec import DEFAULT_SIZE_BYTES, SHARDS_MAX, ShardingSpec, StrategyName, parse_shard_by
from spotproof.shards.strategies.base import Cut
from spotproof.shards.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAGIC_CHECKS_MAX: Final = 100  # objects whose first bytes are read; the names of all others are trusted
SKEW_WARNED: Final = 4.0  # largest shard over mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan before it is stored: the header, and the shards as a stream that can be walked again."""

    header: ShardPlan
    cut: Cut

    @property
    def catalogue(self) -> tuple[InputPart, ...]:
        return self.cut.catalogue

    def shards(self) -> Iterator[PlannedShard]:
        return self.cut.shards()


def plan_run(*, s3: "S3Client", retrier: Retrier, input_uri: str, shard_by: str | ShardingSpec) -> Plan:
    """Cut the objects at or under `input_uri` into shards. The same input gives the same plan, in any process.

    Raises:
        ConfigurationError: `shard_by` is malformed, or the input needs pyarrow and it is missing.
        InputError: bad address, no bucket, no data, mixed or unreadable objects, a missing column, an unparseable
            key, or more than 1,000,000 shards; the text says what to do.
        AwsAccessError: the caller may not list or read the input.
    """
    spec = parse_shard_by(shard_by) if isinstance(shard_by, str) else shard_by
    objects = InputObjects(s3=s3, retrier=retrier)
    source = _find_input(objects, input_uri)
    spec = resolve_auto(spec, source.format)
    cut = STRATEGIES[spec.strategy](spec, source)
    sizes = _sizes(cut, spec, source)
    skew = skew_of(sizes)
    header = ShardPlan(
        strategy=spec.text,
        input_uri=input_uri,
        format=source.format,
        shards=len(sizes),
        objects=len(source.items),
        input_bytes=source.size_bytes,
        skew=skew,
        warnings=(*cut.warnings, *_skew_warnings(skew)),
    )
    return Plan(header=header, cut=cut)


def resolve_auto(spec: ShardingSpec, input_format: InputFormat) -> ShardingSpec:
    """What `auto` means for a format: row groups of Parquet, opaque files one by one, lines by size."""
    if spec.strategy is not StrategyName.AUTO:
        return spec
    match input_format:
        case InputFormat.PARQUET:
            return replace(spec, strategy=StrategyName.ROW_GROUPS)
        case InputFormat.ANY:
            return replace(spec, strategy=StrategyName.OBJECTS)
        case _:
            return replace(spec, strategy=StrategyName.SIZE, size_bytes=DEFAULT_SIZE_BYTES)


def _find_input(objects: InputObjects, input_uri: str) -> PlannedInput:
    pins = list(objects.list(input_uri))
    if not pins:
        raise empty_input(input_uri)
    found = [(pin, _format_of(objects, pin, number)) for number, pin in enumerate(pins)]
    input_format = one_format(found)
    items = tuple(InputObject(pin=pin, gzip=detected.gzip) for pin, detected in found)
    return PlannedInput(objects=objects, uri=input_uri, format=input_format, items=items)


def _format_of(objects: InputObjects, pin: ObjectPin, number: int) -> ObjectFormat:
    if number >= MAGIC_CHECKS_MAX:
        return format_from_name(pin.key)
    return detect_format(pin, objects.read(pin, 0, min(MAGIC_BYTES, pin.size_bytes)))


def _sizes(cut: Cut, spec: ShardingSpec, source: PlannedInput) -> "array[int]":
    """Bytes of every shard, as 8 bytes each.

    Raises:
        InputError: there is no shard, or too many.
    """
    sizes = array("Q")
    for shard in cut.shards():
        if len(sizes) == SHARDS_MAX:
            raise InputError(_too_many(spec, source))
        sizes.append(shard.size_bytes)
    if not sizes:
        raise InputError(f"the objects under {source.uri} hold no data, so there are no shards; check the address")
    return sizes


def _too_many(spec: ShardingSpec, source: PlannedInput) -> str:
    advice = "pack them with size:256MiB"
    if spec.strategy is StrategyName.SIZE:
        advice = f"raise the size to {-(-source.size_bytes // SHARDS_MAX)} bytes or more"
    return f"shard_by {spec.text} makes more than {SHARDS_MAX:,} shards of {source.uri}; {advice}"


def skew_of(sizes: "array[int]") -> Skew:
    """How unequal the sizes are; the 95th percentile is by nearest rank."""
    ordered = sorted(sizes)
    rank = -(-95 * len(ordered) // 100) - 1
    return Skew(max_bytes=ordered[-1], mean_bytes=sum(ordered) / len(ordered), p95_bytes=ordered[rank])


def _skew_warnings(skew: Skew) -> tuple[str, ...]:
    if skew.ratio <= SKEW_WARNED:
        return ()
    return (
        f"the largest shard has {skew.ratio:.1f} times the mean ({skew.max_bytes:,} of {skew.mean_bytes:,.0f} bytes); "
        "more or other shards would end sooner",
    )
