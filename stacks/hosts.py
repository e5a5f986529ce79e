"""What instances start with: the launch template of every family that has hosts."""

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

ROOT_DEVICE = "/dev/xvda"  # of the ECS-optimized Amazon Linux 2023 images

# A notice drains the host, so no new worker lands on a dying machine; and a stopped worker has nearly the whole
# two minutes to save. The agent would keep the scratch of stopped workers for three hours, on the disk that the next
# ones need (ECS agent, environment variables of the container agent).
AGENT_CONFIG = (
    "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true",
    "ECS_CONTAINER_STOP_TIMEOUT=110s",
    "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=10m",
)


def launch_template(scope: Construct, *, disk_gib: int) -> ec2.LaunchTemplate:
    """User data must be MIME multipart for Batch; two hops, or a container's token request to IMDS hangs."""
    script = ec2.UserData.for_linux()
    script.add_commands(*(f"echo {line} >> /etc/ecs/ecs.config" for line in AGENT_CONFIG))
    user_data = ec2.MultipartUserData()
    user_data.add_part(ec2.MultipartBody.from_user_data(script))
    volume = ec2.BlockDeviceVolume.ebs(disk_gib, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3)
    return ec2.LaunchTemplate(
        scope,
        "Host",
        user_data=user_data,
        http_tokens=ec2.LaunchTemplateHttpTokens.REQUIRED,
        http_put_response_hop_limit=2,
        block_devices=[ec2.BlockDevice(device_name=ROOT_DEVICE, volume=volume)],
    )
