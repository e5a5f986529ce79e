"""The order in which a training sees its samples: a function of seed and epoch, entered at any batch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOrder:
    """Which samples are in which batch."""

    samples: int
    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.samples // self.batch_size if self.drop_last else -(-self.samples // self.batch_size)

    def epoch(self, number: int, *, first_batch: int = 0) -> Iterator[list[int]]:
        """The sample numbers of each batch of an epoch, from a batch on. What lies before is not visited."""
        order = self._order(number)
        for batch in range(first_batch, self.batches):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()

    def generator(self, epoch: int) -> torch.Generator:
        """An epoch's own randomness, the same in every process."""
        words = torch.Generator().manual_seed(self.seed)
        start = int(torch.randint(2**62, (), generator=words))
        return torch.Generator().manual_seed((start + epoch) % 2**63)

    def _order(self, epoch: int) -> torch.Tensor:
        if not self.shuffle:
            return torch.arange(self.samples)
        return torch.randperm(self.samples, generator=self.generator(epoch))
