"""One JSON object a line."""

import json
import logging

import pytest

from spotproof import json_logs


def test_a_line_carries_the_event_its_fields_and_the_bound_ones(capsys: pytest.CaptureFixture[str]) -> None:
    formatter = json_logs.configure(level="INFO", bound={"run_id": "r"})
    formatter.bound["session_id"] = "s"

    logging.getLogger("spotproof.worker.loop").info("shard_leased", extra={"shard": 3})

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["shard"], line["run_id"], line["session_id"]) == ("shard_leased", 3, "r", "s")
    assert line["ts"].endswith("+00:00")


def test_control_characters_and_newlines_stay_inside_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    json_logs.configure(level="INFO", bound={})

    logging.getLogger("spotproof").info("shard_failed", extra={"error": "a\nb\x1b[0m"})

    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out)["error"] == "a\nb\x1b[0m"


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        json_logs.configure(level="LOUD", bound={})
