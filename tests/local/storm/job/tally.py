"""The storm's job: cheap, with a safe point every fraction of a second, and an output that shows every record's place."""

import hashlib
import json
from collections.abc import Generator
from typing import Any

from spotproof import job

RECORDS_PER_STEP = 50
WORKING_MEMORY = 64 * 2**20  # bytes; above the largest mmap threshold of glibc, so each step asks the kernel for it
SCRATCH_FILE = "scratch.bin"  # in the working directory, written anew at each step
SCRATCH_BYTES = 256 * 2**10


@job("tally")
def tally(shard: Any, state: Any) -> Generator[None, None, dict[str, Any]]:
    """Counts words, and chains every record's hash to the one before: a record lost, doubled or moved changes it."""
    counts = state.map("counts")
    for batch in shard.batches(after=state.get("cursor"), records=RECORDS_PER_STEP):
        chain = state.get("chain", "")
        for record in batch.records:
            counts[record["word"]] = counts.get(record["word"], 0) + record["count"]
            chain = hashlib.sha256(f"{chain}{record['word']}{record['count']}".encode()).hexdigest()
        state["chain"], state["seen"] = chain, state.get("seen", 0) + len(batch.records)
        use_scratch(bytes(WORKING_MEMORY))
        state["cursor"] = batch.end
        shard.sleep(float(shard.options.get("pace_s", 0)))
        yield
    with shard.output.open("counts.json") as file:
        file.write(json.dumps(dict(sorted(counts.items()))).encode())
    return {"records": state["seen"], "chain": state["chain"]}


def use_scratch(memory: bytes) -> None:
    """Write a part of the working memory to the scratch file, as a program that sorts on disk would."""
    with open(SCRATCH_FILE, "wb", buffering=0) as scratch:
        scratch.write(memory[:SCRATCH_BYTES])
