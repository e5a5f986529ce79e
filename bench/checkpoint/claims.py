"""What the results are held against: ratios to boto3's default transfer, bytes, requests, stalls, memory."""

from typing import Any, Final

SAVE_RATIO_MIN: Final = {
    "pagemap": {
        "nothing": 200.0,
        "1 % of rows, scattered": 40.0,
        "1 % of rows, side by side": 60.0,
        "5 % of rows, scattered": 8.0,
        "everything": 3.0,
    },
    "compare": {"1 % of rows, scattered": 10.0},
}
RESTORE_RATIO_MIN: Final = 2.5
SENT_TO_CHANGED_MAX: Final = 1.10
REQUESTS_MAX: Final = {"nothing": 2, "1 % of rows, scattered": 4, "1 % of rows, side by side": 4}
STALL_CPU_MS_PER_GIB_MAX: Final = {"1 % of rows, scattered": 25.0, "everything": 150.0}
EXTRA_MEMORY_MAX: Final = 1.1  # of the tracked bytes


def judge(result: dict[str, Any], tracker: str) -> list[str]:
    """Each claim that this result breaks, in words."""
    broken = []
    saves = result["saves"]
    for name, bar in SAVE_RATIO_MIN[tracker].items():
        if saves[name]["times_faster"]["median"] < bar:
            broken.append(f"{name}: {saves[name]['times_faster']['median']}x, bar {bar:g}x")
    for name, bar in REQUESTS_MAX.items():
        if saves[name]["requests"] > bar:
            broken.append(f"{name}: {saves[name]['requests']} requests, bar {bar}")
    broken += [
        f"{name}: sent {saves[name]['sent_to_changed']} of what changed, bar {SENT_TO_CHANGED_MAX}"
        for name in ("1 % of rows, scattered", "5 % of rows, scattered")
        if saves[name]["sent_to_changed"] > SENT_TO_CHANGED_MAX
    ]
    for name, bar in STALL_CPU_MS_PER_GIB_MAX.items():
        if tracker == "pagemap" and saves[name]["stall_cpu_ms_per_gib"]["median"] > bar:
            broken.append(f"{name}: stall {saves[name]['stall_cpu_ms_per_gib']['median']} ms CPU per GiB, bar {bar:g}")
    if result["restore"]["times_faster"]["median"] < RESTORE_RATIO_MIN:
        broken.append(f"restore: {result['restore']['times_faster']['median']}x, bar {RESTORE_RATIO_MIN}x")
    if result["extra_memory"] > EXTRA_MEMORY_MAX:
        broken.append(f"extra memory {result['extra_memory']} of the tracked bytes, bar {EXTRA_MEMORY_MAX}")
    return broken
