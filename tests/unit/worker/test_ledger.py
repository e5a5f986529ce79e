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


def test_a_span_that_goes_on_counts_already_without_what_lies_inside_it() -> None:
    clock = FakeClock()
    ledger = LedgerBook(clock)
    with ledger.span(Spent.WORK):
        clock.advance(5)
        assert ledger.seconds(Spent.WORK) == 5
        with ledger.span(Spent.CHECKPOINT):
            clock.advance(2)
            assert (ledger.seconds(Spent.WORK), ledger.seconds(Spent.CHECKPOINT)) == (5, 2)
        clock.advance(1)
        assert (ledger.seconds(Spent.WORK), ledger.seconds(Spent.CHECKPOINT)) == (6, 2)
        with ledger.span(Spent.WORK):
            clock.advance(1)
            assert ledger.seconds(Spent.WORK) == 7

    assert (ledger.seconds(Spent.WORK), ledger.seconds(Spent.CHECKPOINT)) == (7, 2)
