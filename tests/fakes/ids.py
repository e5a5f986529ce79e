"""Ids that count."""


class CountingIds:
    def __init__(self) -> None:
        self.count = 0

    def nonce(self) -> str:
        self.count += 1
        return f"{self.count:06x}"
