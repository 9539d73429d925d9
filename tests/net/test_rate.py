"""Rates are kept, queues stay ours, and what is urgent goes first."""
import time

import pytest

import measure
from lab import Line, bits, wait_for

pytestmark = pytest.mark.measure

PACKET = 1500
LATENESS = 0.005  # of the pacer, repaid at up to 1.25 R
BATCH = 0.001  # what leaves in one batch reaches the line at once


def depth_bytes(rate_bps):
    """The documented depth of the pacer: what may exceed the rate."""
    return PACKET + rate_bps / 8 * (0.001 + LATENESS + BATCH)


@pytest.mark.parametrize("rate", ["256kbit", "2.5mbit", "50mbit", "300mbit"])
def test_a_loaded_line_runs_at_its_rate(make_lab, rate):
    """Within 1 % of R, and no window of 50 ms above R by more than the
    documented depth. The line itself is unlimited."""
    lab = make_lab([Line(delay=2)])
    line, want = lab.lines[0], bits(rate)
    confs = {side: lab.conf(side) for side in "ab"}
    for conf in confs.values():
        conf["l1"]["bandwidth_upload"] = rate
    for side in "ba":
        lab.daemon(side, confs[side]).start()
    for daemon in lab.daemons:
        daemon.wait_up()
    size = 1300
    load = measure.Udp(lab.a, lab.b, size=size, seconds=6,
                       rate=1.25 * want / 8 / size)
    time.sleep(1)  # the queue of the daemon is full
    line.set("up", depth=want)
    lab.reset()
    time.sleep(3)
    stats = line.stats()["up"]
    load.stop()
    load.result()
    got = stats["in_bytes"] * 8 / stats["seconds"]
    # First and last packet: one too many for the time between them.
    slack = PACKET * 8 / 3
    assert abs(got - want) < 0.01 * want + slack, (got, want)
    limit = want / 8 * 0.050 + depth_bytes(want) + PACKET
    assert stats["window_max_bytes"] <= limit, stats


def test_the_operators_queue_stays_empty(make_lab):
    """Configured at 0.97 of the real rate: a sparse flow beside a saturating
    TCP flow keeps its delay, as nothing waits at the operator's."""
    lab = make_lab([Line("50mbit", delay=10) for _ in range(2)])
    lab.start()
    idle = measure.udp(lab.a, lab.b, rate=50, seconds=2)
    load = measure.Tcp(lab.a, lab.b, seconds=6, skip=0)
    time.sleep(1.5)
    lab.reset()
    busy = measure.udp(lab.a, lab.b, rate=50, seconds=4)
    stats = lab.stats()
    load.result()
    assert busy["lost"] == 0
    base = idle["delay_ms"]["median"]
    assert busy["delay_ms"]["median"] < base + 5, (idle, busy)
    assert busy["delay_ms"]["p99"] < base + 15, (idle, busy)
    for line in (1, 2):
        assert stats[line]["up"]["drop_queue"] == 0
        assert stats[line]["up"]["queue_mean_ms"] < 1, stats[line]["up"]


def test_marked_packets_and_pings_go_first(make_lab):
    """Against a saturating flow on 1 Mbit/s, where one packet lasts 12 ms."""
    lab = make_lab([Line("1mbit", delay=10)])
    lab.start()
    load = measure.Tcp(lab.a, lab.b, seconds=13, skip=0)
    time.sleep(3)
    flows = {tos: measure.Udp(lab.a, lab.b, rate=10, seconds=6, tos=tos)
             for tos in (0x10, 0xB8, 0xB0)}
    ping = measure.Ping(lab.a, "10.200.0.2", count=60, interval=0.1).result()
    got = {tos: flow.result() for tos, flow in flows.items()}
    load.stop()
    for tos, flow in got.items():
        assert flow["lost"] == 0
        # Never behind more than the packet on the line and its like.
        assert flow["delay_ms"]["p99"] < 10 + 2 * 13 + 5, (hex(tos), flow)
        assert flow["delay_ms"]["median"] < 10 + 13 + 2, (hex(tos), flow)
    assert ping["lost"] == 0 and ping["avg"] < 20 + 15


def test_a_ping_flood_cannot_silence_the_bond(make_lab):
    """More urgent packets than the line carries become ordinary ones."""
    lab = make_lab([Line("1mbit", delay=10)])
    client, server = lab.start()
    floods = [measure.Ping(lab.a, "10.200.0.2", count=4000, interval=0.001,
                           size=1000) for _ in range(2)]
    time.sleep(3)  # the second of debt is used up
    lines = client.mark()
    sparse = measure.Udp(lab.a, lab.b, rate=20, seconds=4)
    tcp = measure.tcp(lab.a, lab.b, seconds=4, skip=1)
    udp = sparse.result()
    for flood in floods:
        flood.process.kill()
        flood.process.wait()
    assert udp["lost"] <= 4, udp
    assert tcp["mbps"] > 0.1, tcp
    assert not client.log("link l1: down", lines)
    assert client.up_links() == server.up_links() == {"l1"}


def test_urgent_packets_are_debited(make_lab):
    """Urgent and ordinary packets together still fit the rate."""
    lab = make_lab([Line(delay=5)])
    confs = {side: lab.conf(side) for side in "ab"}
    for side in "ba":
        confs[side]["l1"]["bandwidth_upload"] = "10mbit"
        lab.daemon(side, confs[side]).start()
    for daemon in lab.daemons:
        daemon.wait_up()
    load = measure.Tcp(lab.a, lab.b, seconds=4, skip=0)
    urgent = measure.Udp(lab.a, lab.b, rate=400, size=1000, seconds=4,
                         tos=0xB8)
    time.sleep(1)
    lab.reset()
    time.sleep(2)
    stats = lab.lines[0].stats()["up"]
    assert urgent.result()["lost"] == 0
    load.result()
    assert stats["in_bytes"] * 8 / stats["seconds"] == pytest.approx(
        10e6, rel=0.015)


def test_the_server_paces_its_direction(make_lab):
    """Only the client's file has the rates; the hello tells the server."""
    lab = make_lab([Line(delay=5)])
    client, server = lab.conf("a"), lab.conf("b")
    client["l1"]["bandwidth_download"] = "8mbit"
    lab.daemon("b", server).start()
    lab.daemon("a", client).start().wait_up()
    load = measure.Tcp(lab.b, lab.a, seconds=4, skip=0)
    time.sleep(1)
    lab.reset()
    time.sleep(2)
    stats = lab.lines[0].stats()["down"]
    load.result()
    assert stats["in_bytes"] * 8 / stats["seconds"] == pytest.approx(
        8e6, rel=0.015)
    wait_for(lambda: lab.daemons[0].link("l1")["rate_tx_Bps"] == 1000000, 3)
