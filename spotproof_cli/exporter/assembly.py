"""Puts the exporter together for a deployment."""

from collections.abc import Callable

from spotproof.capacity.live_jobs import RunJobs
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.capacity.waiting_reader import WaitingReader
from spotproof.clock import Clock
from spotproof.costs.price_book import PriceBook
from spotproof.costs.prices import EC2SpotPrices, load_on_demand_prices
from spotproof_cli.deployment import Deployment
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.environments import Environments
from spotproof_cli.exporter.jobs import JobsSource
from spotproof_cli.exporter.nodes import NodesSource
from spotproof_cli.exporter.readings import Readings
from spotproof_cli.exporter.runs import RunsSource
from spotproof_cli.exporter.samples import sample
from spotproof_cli.exporter.scale_ups import ScaleUpsSource


def readings_of(deployment: Deployment, *, clock: Clock, warn: Callable[[str], None], version: str) -> Readings:
    """All sources of the deployment."""
    clients, retrier = deployment.clients, deployment.retrier
    queues = deployment.names.all_queues
    environments = Environments(batch=clients.batch, queues=queues, retrier=retrier)
    spot = EC2SpotPrices(client=clients.ec2, retrier=retrier)
    book = PriceBook(on_demand=load_on_demand_prices(), spot=spot)
    waiting = WaitingReader(
        batch=clients.batch, ec2=clients.ec2, scaling=clients.autoscaling, retrier=retrier, clock=clock
    )
    jobs = RunJobs(batch=clients.batch, queues=list(queues), retrier=retrier)
    records = Records(dynamodb=clients.dynamodb, table_name=deployment.names.table, retrier=retrier)
    sources = (
        RunsSource(store=deployment.store, pools=PoolRecords(records), book=book, clock=clock),
        JobsSource(queues=queues, jobs=jobs, waiting=waiting, environments=environments),
        NodesSource(ec2=clients.ec2, prefix=deployment.prefix, retrier=retrier),
        ScaleUpsSource(scaling=clients.autoscaling, environments=environments, clock=clock, retrier=retrier),
    )
    info = [sample(metrics.INFO, 1, version=version, prefix=deployment.prefix)]
    return Readings(sources=sources, clock=clock, warn=warn, info=info)
