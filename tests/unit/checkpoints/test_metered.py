"""The meter of checkpoint requests."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.metered import MeteredStore, Traffic


def test_bytes_are_counted_whatever_their_memory_is_made_of() -> None:
    metered = MeteredStore(InMemoryObjectStore())
    numbers: Any = memoryview(bytearray(24)).cast("d")  # three items

    metered.put("numbers", numbers)
    metered.put_if_absent("bytes", b"12345")

    assert metered.traffic == Traffic(requests=2, size_bytes=29)


def test_what_is_read_is_counted_and_what_is_not_there_is_a_request_of_no_bytes() -> None:
    metered = MeteredStore(InMemoryObjectStore())
    metered.put("k", b"12345")
    written = metered.traffic

    assert metered.get("k", size_max=5) == b"12345"
    assert metered.get_into("k", memoryview(bytearray(3)), offset=1)
    assert not metered.get_into("nothing", memoryview(bytearray(3)))
    assert metered.get("nothing", size_max=5) is None

    assert metered.traffic.since(written) == Traffic(requests=4, size_bytes=8)


def test_listing_and_deleting_are_requests() -> None:
    metered = MeteredStore(InMemoryObjectStore())
    metered.put("a/k", b"12345")

    assert metered.keys("a/") == ["a/k"]
    metered.delete_many(["a/k"])

    assert metered.keys("a/") == []
    assert metered.traffic == Traffic(requests=4, size_bytes=5)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 1000)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_threads")
def test_the_meter_counts_the_requests_of_every_thread() -> None:
    metered = MeteredStore(InMemoryObjectStore())

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: metered.put(f"k/{number}", b"123"), range(8_000)))

    assert metered.traffic == Traffic(requests=8_000, size_bytes=24_000)
