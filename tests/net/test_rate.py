"""Rates are kept, queues stay ours, and what is urgent goes first. Figures
leave room for a busy machine; tests/bench has the exact ones."""
import time

import pytest

import measure
from lab import Line, bits, wait_for
from measure import best_of

pytestmark = pytest.mark.measure

PACKET = 1500
LATENESS = 0.005  # of the pacer, repaid at up to 1.25 R
BATCH = 0.001  # what leaves in one batch reaches the line at once


def depth_bytes(rate_bps):
    """The documented depth of the pacer: what may exceed the rate."""
    return PACKET + rate_bps / 8 * (0.001 + LATENESS + BATCH)


def entering(lab, direction="up", seconds=2):
    """Counters of the first line over some seconds, and bits per second."""
    lab.reset()
    time.sleep(seconds)
    stats = lab.lines[0].stats()[direction]
    return stats, stats["in_bytes"] * 8 / stats["seconds"]


@pytest.mark.parametrize("rate", ["256kbit", "2.5mbit", "50mbit", "300mbit"])
def test_a_loaded_line_runs_at_its_rate(make_lab, rate):
    """At R, of which a busy machine may find the time for a part, and no
    window of 50 ms is far above R. The line itself is unlimited, and nobody
    receives: two cores have enough to do."""
    lab = make_lab([Line(delay=2)])
    want = bits(rate)
    least = 0.7 if want <= 50e6 else 0.1
    confs = {side: lab.conf(side, timeout=300) for side in "ab"}
    for conf in confs.values():
        conf["l1"]["bandwidth_upload"] = rate
    for side in "ba":
        lab.daemon(side, confs[side]).start()
    for daemon in lab.daemons:
        daemon.wait_up()
    size = 1300
    measure.Udp(lab.a, lab.b, size=size, seconds=60,
                rate=1.25 * want / 8 / size)
    time.sleep(0.5)
    lab.lines[0].cut()
    time.sleep(0.5)  # the queue of the daemon is full

    def attempt():
        stats, got = entering(lab)
        # Who is late repays the depth at most, and of first and last packet
        # one is too many for the time between them.
        slack = (depth_bytes(want) + PACKET) * 8 / 2
        assert least * want < got < 1.02 * want + slack
        limit = 1.25 * want / 8 * 0.050 + depth_bytes(want) + PACKET
        assert stats["window_max_bytes"] <= limit, stats
    best_of(attempt)


def test_the_operators_queue_stays_empty(make_lab):
    """Configured at 0.97 of the real rate: a sparse flow beside a saturating
    TCP flow keeps its delay, as nothing waits at the operator's, whose queue
    has room for 100 ms."""
    lab = make_lab([Line("50mbit", delay=10) for _ in range(2)])
    lab.start()
    idle = measure.udp(lab.a, lab.b, rate=50, seconds=1)["delay_ms"]
    load = measure.Tcp(lab.a, lab.b, seconds=40, skip=0)
    time.sleep(1.5)

    def attempt():
        busy = measure.udp(lab.a, lab.b, rate=50, seconds=3)
        assert busy["lost"] <= 0.01 * busy["sent"]
        assert busy["delay_ms"]["median"] < idle["median"] + 15
        assert busy["delay_ms"]["p90"] < idle["median"] + 40
    best_of(attempt)
    load.stop()
    for line in lab.stats().values():
        assert line["up"]["in_bytes"] > 2000000
        assert line["up"]["drop_queue"] == 0
        assert line["up"]["queue_mean_ms"] < 10


def test_marked_packets_and_pings_go_first(make_lab):
    """Beside eight flows on 1 Mbit/s, where one packet lasts 12 ms, an
    ordinary flow of more than its share waits; marked, it does not."""
    lab = make_lab([Line("1mbit", delay=10)])
    lab.start()
    load = measure.Tcp(lab.a, lab.b, seconds=60, skip=0, parallel=8)
    time.sleep(3)

    def attempt():
        flows = {tos: measure.Udp(lab.a, lab.b, rate=14, size=1000, seconds=4,
                                  tos=tos) for tos in (0, 0x10, 0xB8, 0xB0)}
        ping = measure.Ping(lab.a, "10.200.0.2", count=40,
                            interval=0.1).result()
        got = {tos: flow.result() for tos, flow in flows.items()}
        ordinary = got.pop(0)["delay_ms"]["median"]
        for flow in got.values():
            assert flow["lost"] == 0
            assert flow["delay_ms"]["median"] < ordinary / 3
            assert flow["delay_ms"]["p90"] < ordinary / 2
        assert ping["lost"] == 0 and ping["avg"] < ordinary / 2
    best_of(attempt)
    load.stop()


def test_a_ping_flood_cannot_silence_the_bond(make_lab):
    """More urgent packets than the line carries become ordinary ones."""
    lab = make_lab([Line("1mbit", delay=10)])
    client, server = lab.start()
    floods = [measure.Ping(lab.a, "10.200.0.2", count=60000, interval=0.001,
                           size=1000) for _ in range(2)]
    time.sleep(3)  # the second of debt is used up
    lines = client.mark()

    def attempt():
        sparse = measure.Udp(lab.a, lab.b, rate=20, seconds=3)
        tcp = measure.tcp(lab.a, lab.b, seconds=3)
        udp = sparse.result()
        assert udp["lost"] <= 0.1 * udp["sent"], udp
        assert tcp["mbps"] > 0.1, tcp
    best_of(attempt)
    for flood in floods:
        assert flood.process.poll() is None
        flood.process.kill()
        flood.process.wait()
    assert not client.log("link l1: down", lines)
    assert client.up_links() == server.up_links() == {"l1"}


def test_urgent_packets_are_debited(make_lab):
    """Urgent and ordinary packets together still fit the rate: a third of it
    is urgent, and would come on top."""
    lab = make_lab([Line(delay=5)])
    confs = {side: lab.conf(side) for side in "ab"}
    for side in "ba":
        confs[side]["l1"]["bandwidth_upload"] = "10mbit"
        lab.daemon(side, confs[side]).start()
    for daemon in lab.daemons:
        daemon.wait_up()
    load = measure.Tcp(lab.a, lab.b, seconds=20, skip=0)
    urgent = measure.Udp(lab.a, lab.b, rate=400, size=1000, seconds=20,
                         tos=0xB8)
    time.sleep(1)

    def attempt():
        _, got = entering(lab)
        assert 0.7 * 10e6 < got < 1.1 * 10e6
    best_of(attempt)
    load.stop()
    urgent.stop()
    udp = urgent.result()
    assert udp["lost"] <= 0.01 * udp["sent"], udp


def test_the_server_paces_its_direction(make_lab):
    """Only the client's file has the rates; the hello tells the server."""
    lab = make_lab([Line(delay=5)])
    client, server = lab.conf("a"), lab.conf("b")
    client["l1"]["bandwidth_download"] = "8mbit"
    lab.daemon("b", server).start()
    lab.daemon("a", client).start().wait_up()
    load = measure.Tcp(lab.b, lab.a, seconds=20, skip=0)
    time.sleep(1)

    def attempt():
        _, got = entering(lab, "down")
        assert 0.7 * 8e6 < got < 1.1 * 8e6
    best_of(attempt)
    load.stop()
    wait_for(lambda: lab.daemons[0].link("l1")["rate_conf_Bps"] == 1000000, 3)
