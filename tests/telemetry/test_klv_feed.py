from rsseg_edge.telemetry import klv_feed
from rsseg_edge.telemetry.klv_feed import KlvFeed, PassingPiece


def piece(time: float) -> PassingPiece:
    return PassingPiece(time, 0, str(time).encode())


def test_every_reader_gets_every_piece_once_and_in_order() -> None:
    feed = KlvFeed(1, [piece(2.0), piece(0.0), piece(1.0)])
    first, at = feed.take(0, 1.0)
    assert [p.time for p in first] == [0.0, 1.0]
    assert [p.time for p in feed.take(at, 5.0)[0]] == [2.0]
    assert [p.time for p in feed.take(0, 5.0)[0]] == [0.0, 1.0, 2.0]


def test_of_a_live_input_the_newest_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(klv_feed, "MOST", 3)
    feed = KlvFeed(1)
    at = 0
    for time in range(5):
        feed.add(piece(time))
    found, at = feed.take(at, 10)
    assert [p.time for p in found] == [2, 3, 4]
    feed.add(piece(5))
    assert [p.time for p in feed.take(at, 10)[0]] == [5]
    assert feed.take(at, 4)[0] == []
