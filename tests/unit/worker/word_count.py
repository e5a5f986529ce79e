"""A small job for the tests of the worker's entry point."""

from collections.abc import Callable, Generator
from typing import Any

from spotproof import job

before_reading: list[Callable[[], Any]] = []  # done once, before the next shard is read


@job("word-count")
def word_count(shard: Any, state: Any) -> Generator[None, None, dict[str, int]]:
    words = state.map("words")
    while before_reading:
        before_reading.pop()()
    for batch in shard.batches(after=state.get("cursor")):
        for word in batch:
            words[word] = words.get(word, 0) + 1
        state["cursor"] = batch.end
        yield
    return dict(words)
