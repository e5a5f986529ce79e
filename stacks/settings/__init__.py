"""What a deployment can choose, in one place: every context value with its kind, default and meaning."""

from stacks.settings.deploy_settings import DECLARED, DeploySettings
from stacks.settings.general import Compliance, Removal
from stacks.settings.network import NetworkKind

__all__ = ["DECLARED", "Compliance", "DeploySettings", "NetworkKind", "Removal"]
