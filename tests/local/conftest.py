"""Local accounts for tests: one with the product in it, one with a small assembly and short times."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import daemon
from localcloud.deploy import deploy
from localcloud.settings import Settings
from localcloud.state_dir import StateDir
from tests.local.account import TestAccount
from tests.local.small_assembly import COMPUTE_STACK, write_small_assembly
from tests.local.synthesis import synthesized

HERE = Path(__file__).parent
LAST = "test_least_privilege"  # looks at what all others made of the account


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests here, and those that do without the shared account: they can run in a process of their own."""
    items.sort(key=lambda item: item.path.stem == LAST)  # keeps the order of the others
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.local)
            if "cloud" not in (item.fixturenames if isinstance(item, pytest.Function) else ()):
                item.add_marker(pytest.mark.own_account)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAccount]:
    """A local account with nothing deployed, on a free port."""
    directory = tmp_path_factory.mktemp("cloud") / "state"
    running = daemon.start(Settings(state_dir=str(directory), parent_pid=os.getpid()))
    yield TestAccount(state=StateDir(directory), running=running)
    daemon.stop(StateDir(directory))


@pytest.fixture(scope="session")
def deployed(cloud: TestAccount) -> TestAccount:
    """The same account with the product's stacks in it."""
    stacks = deploy(cloud.running, synthesized())
    outputs = {f"{stack.name}.{key}": value for stack in stacks for key, value in stack.outputs.items()}
    return TestAccount(state=cloud.state, running=cloud.running, outputs=outputs)


@pytest.fixture(scope="session")
def small_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAccount]:
    """An account with the small assembly, where everything happens quickly."""
    directory = tmp_path_factory.mktemp("small")
    state = StateDir(directory / "state")
    settings = Settings(
        state_dir=str(state.path),
        scale=60,
        idle_s=240,
        warning_floor_real_s=1.5,
        stop_grace_floor_real_s=1.0,
        parent_pid=os.getpid(),
    )
    running = daemon.start(settings)
    stacks = deploy(running, write_small_assembly(directory / "assembly"))
    outputs = next(stack.outputs for stack in stacks if stack.name == COMPUTE_STACK)
    yield TestAccount(state=state, running=running, outputs=outputs)
    daemon.stop(state)


@pytest.fixture
def small(small_account: TestAccount) -> Iterator[TestAccount]:
    """The small account, with no job alive and no mischief pending before and after the test."""
    small_account.admin.reset_jobs()
    yield small_account
    small_account.admin.reset_jobs()
