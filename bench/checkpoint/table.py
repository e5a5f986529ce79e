"""The results as a table for people."""

from typing import Any


def print_table(result: dict[str, Any]) -> None:
    gib = result["size_bytes"] / 2**30
    print(f"\n{gib:g} GiB, server {result['server']}, tracker {result['tracker']}, n = {result['rounds']}")
    print(
        f"{'save':28} {'sent MB':>9} {'requests':>8} {'CPU s':>7} {'wall s':>8} {'stall ms':>8} {'x boto3':>8} {'x CPU':>7}"
    )
    for name, save in result["saves"].items():
        print(
            f"{name:28} {save['sent_bytes'] / 1e6:9.2f} {save['requests']:8} {save['cpu_s']['median']:7.3f} "
            f"{save['wall_s']['median']:8.3f} {save['stall_ms']['median']:8.1f} {save['times_faster']['median']:8.1f} "
            f"{save['times_less_cpu']['median']:7.1f}"
        )
    restore = result["restore"]
    print(
        f"{'restore, verified':28} {'':9} {'':8} {restore['cpu_s']['median']:7.3f} {restore['wall_s']['median']:8.3f} "
        f"{'':8} {restore['times_faster']['median']:8.1f} {restore['times_less_cpu']['median']:7.1f}"
    )
    print(f"extra memory: {result['extra_memory']:.3f} of the tracked bytes")
