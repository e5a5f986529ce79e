"""docs/operating.md says what is there: every alarm, every check, every permission; and what it names exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spotproof import events
from spotproof_cli.commands import COMMANDS
from spotproof_cli.doctor.examination import CHECKS
from stacks.monitoring.alarms import ALARMS, COMPOSITE, COMPOSITE_SAYS
from stacks.monitoring.queries import QUERIES
from stacks.settings import DECLARED

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "operating.md").read_text()
SAYS = {**{alarm.name: alarm.says for alarm in ALARMS}, COMPOSITE: COMPOSITE_SAYS}
READS_STACKS = {"cloudformation:DescribeStacks", "cloudformation:ListStackResources"}  # whatever is looked at


def chapter(title: str) -> str:
    """What stands below a heading of the second level."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def sections() -> dict[str, str]:
    """The chapter about alarms, by the name of the alarm."""
    parts = re.split(r"^### (.+)\n", chapter("Alarms"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def policy() -> dict[str, Any]:
    """The permissions that the page asks for."""
    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    document: dict[str, Any] = json.loads(block)
    return document


def test_every_alarm_has_its_section_and_every_section_its_alarm() -> None:
    assert sorted(sections()) == sorted(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_a_section_begins_with_the_alarms_own_sentence_and_says_what_to_do(name: str) -> None:
    section = sections()[name]

    assert section.startswith(f"{SAYS[name]}\n\n")
    assert re.findall(r"^\*\*(\w+):\*\* \S", section, re.MULTILINE) == ["Means", "Look", "Do"]


def test_every_alarm_is_in_one_column_of_urgency() -> None:
    (row,) = re.findall(r"^\|---\|---\|---\|\n\| (.+) \|$", chapter("Alarms"), re.MULTILINE)
    named = [name for column in row.split(" | ") for name in column.split(", ")]

    assert sorted(named) == sorted(alarm.name for alarm in ALARMS)


def test_the_table_of_checks_is_that_of_the_doctor() -> None:
    (table,) = re.findall(r"^\|---\|---\|\n(.*?)<!-- /checks -->", TEXT, re.DOTALL | re.MULTILINE)

    assert table == "".join(f"| `{check.name}` | {check.claim} |\n" for check in CHECKS)


def test_the_policy_has_the_actions_of_the_checks_and_no_others() -> None:
    (statement,) = policy()["Statement"]
    needed = {action for check in CHECKS for action in check.actions} | READS_STACKS

    assert statement["Action"] == sorted(needed)


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        (r"[Qq]uer(?:y|ies) `([\w-]+)`|` and `([\w-]+)`\.", {query.name for query in QUERIES}),
        (r"`spotproof (\w+)", {entry.name for entry in COMMANDS}),
        (r"(?:log event `|--event )(\w+)", {value for name, value in vars(events).items() if name.isupper()}),
        (r"context value `(\w+)`|-c (\w+)=", set(DECLARED)),
    ],
    ids=["queries", "commands", "log events", "context values"],
)
def test_what_the_page_names_exists(pattern: str, known: set[str]) -> None:
    named = {next(filter(None, match.groups())) for match in re.finditer(pattern, " ".join(TEXT.split()))}

    assert named
    assert named <= known


def test_checks_that_the_page_sends_people_to_exist() -> None:
    sent = re.findall(r"`spotproof doctor`: ((?:`[\w-]+`(?:, )?)+)", " ".join(TEXT.split()))
    named = {name for each in sent for name in re.findall(r"`([\w-]+)`", each)}

    assert named
    assert named <= {check.name for check in CHECKS}
