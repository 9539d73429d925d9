"""What a bond is for, as ratios within one run, wide enough for a busy machine;
tests/bench has the figures."""
import time

import pytest

import measure
from lab import Line
from measure import best_of

pytestmark = pytest.mark.measure

OUTER = 60  # bytes around an inner packet: IP, UDP, ours
PAYLOAD = 1340 / 1460  # of TCP, in a full packet on a line; or less


def timeouts(host):
    """Retransmission time-outs of a kernel's TCP so far."""
    return measure.counters(host)["TcpExtTCPTimeouts"]


def test_one_flow_gets_more_than_the_best_of_unequal_lines(make_lab):
    """Rates of 20 : 4 : 1, delays of 5, 20 and 50 ms."""
    lab = make_lab([Line("40mbit", delay=5), Line("8mbit", delay=20),
                    Line("2mbit", delay=50)])
    lab.start(share=1)

    def attempt():
        got = measure.tcp(lab.a, lab.b, seconds=4, skip=2)
        assert got["mbps"] > 1.1 * 40 * PAYLOAD
    best_of(attempt)


def test_random_loss_does_not_slow_a_flow_down(make_lab):
    """1 % of the packets: what is left of CUBIC on one line without a tunnel
    is far less than a half of what the bond gives it."""
    lab = make_lab([Line("20mbit", delay=20, loss=1) for _ in range(2)])
    lab.start(share=1)

    def attempt():
        plain = measure.tcp(lab.a, lab.b, to=lab.lines[0].b4, seconds=4)
        got = measure.tcp(lab.a, lab.b, seconds=4, skip=2)
        assert got["mbps"] > 3 * plain["mbps"]
    best_of(attempt)


def test_a_line_that_swallows_everything_costs_a_short_pause(make_lab):
    """Long before the time-out, and the inner flow's TCP does not notice."""
    lab = make_lab([Line("20mbit", delay=10), Line("20mbit", delay=15)])
    lab.start(share=1, timeout=30)

    def attempt():
        before = timeouts(lab.a)
        stream = measure.Stream(lab.a, lab.b, seconds=4)
        sparse = measure.Udp(lab.a, lab.b, rate=50, seconds=4)
        time.sleep(2)
        lab.lines[0].cut()
        try:
            tcp, udp = stream.result(), sparse.result()
        finally:
            lab.lines[0].heal()
        assert tcp["gap_max_ms"] < 1000
        assert timeouts(lab.a) == before
        assert udp["lost"] <= 10 and udp["gap_max_ms"] < 1000
        time.sleep(2)  # it is used again, for the next attempt
    best_of(attempt)


def test_order_is_kept_and_little_is_added(make_lab):
    """A UDP flow of 80 % of two lines: none out of order, none twice; what
    the lines carry is its packets and headers, and 2 % at most."""
    lab = make_lab([Line("20mbit", delay=10), Line("20mbit", delay=10)])
    lab.start(share=1)
    size, rate = 1300, 0.8 * 2 * 20e6 / 8 / (1300 + 28 + OUTER)

    def attempt():
        lab.reset()
        got = measure.udp(lab.a, lab.b, rate=rate, size=size, seconds=3)
        stats = lab.stats().values()
        full = got["sent"] * (size + 28 + OUTER)
        assert got["duplicates"] == 0
        assert got["lost"] <= 0.01 * got["sent"]
        assert got["reordered"] == 0
        assert sum(line["up"]["in_bytes"] for line in stats) < 1.02 * full
        assert sum(line["down"]["in_bytes"] for line in stats) < 0.02 * full
    best_of(attempt)
