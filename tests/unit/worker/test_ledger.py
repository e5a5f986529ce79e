"""The ledger books every second once."""

from spotproof.worker.ledger import LedgerBook, Spent
from tests.fakes.clock import FakeClock


def test_a_span_inside_another_is_booked_once() -> None:
    clock = FakeClock()
    book = LedgerBook(clock)

    with book.span(Spent.WORK):
        clock.advance(5)
        with book.span(Spent.CHECKPOINT):
            clock.advance(2)
        clock.advance(1)

    assert book.seconds(Spent.WORK) == 6
    assert book.seconds(Spent.CHECKPOINT) == 2


def test_lost_work_moves_to_redone_and_nothing_is_created() -> None:
    clock = FakeClock()
    book = LedgerBook(clock)
    with book.span(Spent.WORK):
        clock.advance(5)

    book.move(9, source=Spent.WORK, target=Spent.REDONE)

    assert book.snapshot().redone_ms == 5000
    assert book.snapshot().work_ms == 0


def test_a_span_is_booked_when_its_work_raises() -> None:
    clock = FakeClock()
    book = LedgerBook(clock)

    try:
        with book.span(Spent.WORK):
            clock.advance(3)
            raise RuntimeError
    except RuntimeError:
        pass

    assert book.seconds(Spent.WORK) == 3
