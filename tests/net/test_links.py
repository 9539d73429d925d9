"""Lines that die and come back."""
import time
from collections import Counter

import pytest

import measure
from lab import Line, wait_for

TIMEOUT = 2


def start(lab, hooks=True, confs=None, **general):
    """Both daemons with a short time-out and recorded status commands."""
    for side in "ba":
        conf = confs[side] if confs else lab.conf(side, timeout=TIMEOUT,
                                                  **general)
        daemon = lab.daemon(side, conf)
        if hooks:
            daemon.record_hooks()
        daemon.start()
    server, client = lab.daemons
    for daemon in (client, server):
        daemon.wait_up()
    return client, server


def works(lab, timeout=10):
    """Waits until the tunnel answers."""
    wait_for(lambda: measure.ping(lab.a, "10.200.0.2", count=1,
                                  wait=0.5)["received"] == 1, timeout,
             "an answer through the tunnel")


def test_a_dead_line_is_noticed_and_comes_back(make_lab):
    """Syslog, hook, traffic on the other line, no broken connection."""
    lab = make_lab([Line("10mbit", delay=10), Line("10mbit", delay=10)])
    client, server = start(lab)
    dead, alive = lab.lines
    stream = measure.Stream(lab.a, lab.b, seconds=60)
    wait_for(lambda: dead.stats()["up"]["in_bytes"] > 200000, 5)
    marks = {daemon: daemon.mark() for daemon in (client, server)}
    cut_at, cut_time = time.monotonic(), time.time()
    dead.cut()
    for daemon in (client, server):
        when, text = daemon.wait_log(r"link l1: down, peer 10\.1\.0\.\d:\d+, "
                                     r"rtt \d+ ms, (no answer for \d+ s|"
                                     r"nothing arrived for \d+ ms)",
                                     TIMEOUT + 3, marks[daemon])
        assert when - cut_at < 2 * TIMEOUT + 2, text
        daemon.wait_hook("rtun_down", "l1", since=cut_time, timeout=3)
        assert daemon.up_links() == {"l2"}
    before = alive.stats()["up"]["in_bytes"]
    wait_for(lambda: alive.stats()["up"]["in_bytes"] > before + 500000, 6,
             "traffic on the other line")
    healed = time.time()
    dead.heal()
    for daemon in (client, server):
        daemon.wait_log("link l1: up", 5, marks[daemon])
        event = daemon.wait_hook("rtun_up", "l1", since=healed, timeout=3)
        assert event["args"][:3] == ["mlvpn0", "rtun_up", "l1"]
    lab.reset()
    wait_for(lambda: dead.stats()["up"]["in_bytes"] > 200000, 6,
             "traffic on the line that came back")
    stream.stop()
    got = stream.result()
    assert got["bytes"] == got["sent_bytes"], "the connection broke"
    # What it swallowed goes by the other long before the time-out.
    assert got["gap_max_ms"] < TIMEOUT * 1000


def test_the_bond_is_announced(make_lab):
    """First line up: tuntap_up; last one down: tuntap_down."""
    lab = make_lab([Line(delay=5), Line(delay=5)])
    client, _ = start(lab)
    client.wait_log("bond: up")
    client.wait_hook("tuntap_up", timeout=3)
    mark = client.mark()
    for line in lab.lines:
        line.cut()
    client.wait_log("bond: down", TIMEOUT + 3, mark)
    client.wait_hook("tuntap_down", timeout=3)
    for line in lab.lines:
        line.heal()
    client.wait_log("bond: up", 5, mark)
    kinds = {"tuntap_up": 2, "tuntap_down": 1, "rtun_up": 4, "rtun_down": 2}
    wait_for(lambda: Counter(event["args"][1] for event in
                             client.hooks()) == kinds, 5, str(kinds))


def test_one_direction_dies(make_lab):
    """A line that carries only one way is down at both ends."""
    lab = make_lab([Line(delay=5), Line(delay=5)])
    client, server = start(lab, hooks=False)
    for direction in ("up", "down"):
        marks = [d.mark() for d in (client, server)]
        lab.lines[0].cut(direction)
        for daemon, mark in zip((client, server), marks):
            daemon.wait_log("link l1: down", 2 * TIMEOUT + 2, mark)
        assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0
        lab.lines[0].heal()
        for daemon in (client, server):
            daemon.wait_up(timeout=8)


def test_the_clients_address_changes(make_lab):
    lab = make_lab([Line(delay=5)])
    confs = {side: lab.conf(side, timeout=TIMEOUT) for side in "ab"}
    confs["a"]["l1"].update(bindhost=None, interface="wan1")
    client, server = start(lab, hooks=False, confs=confs)
    mark = server.mark()
    lab.lines[0].change_address("a", v4="10.1.0.77")
    works(lab, 2 * TIMEOUT + 6)
    server.wait_log(r"link l1: (peer moved from 10\.1\.0\.1\S* to "
                    r"10\.1\.0\.77|up, peer 10\.1\.0\.77)", 8, mark)
    assert client.up_links() == {"l1"}


def test_the_nat_mapping_changes(make_lab):
    lab = make_lab([Line(delay=5, nat=True)])
    client, server = start(lab, hooks=False)
    mark = server.mark()
    lab.renew_nat(30000)
    works(lab, 2 * TIMEOUT + 6)
    server.wait_log(r"link l1: (peer moved from .* to|up, peer) "
                    r"10\.1\.0\.1:3\d{4}", 8, mark)
    assert client.up_links() == {"l1"}


def test_the_servers_name_gets_another_address(make_lab):
    """A dynamic DNS name: the client asks again."""
    lab = make_lab([Line(delay=5)])
    lab.a.set_names({"server.example": "10.1.0.2"})
    confs = {side: lab.conf(side, timeout=TIMEOUT) for side in "ab"}
    confs["a"]["l1"]["remotehost"] = "server.example"
    confs["b"]["l1"]["bindhost"] = None
    client, _ = start(lab, hooks=False, confs=confs)
    mark = client.mark()
    lab.lines[0].change_address("b", v4="10.1.0.88")
    client.wait_log("link l1: down", TIMEOUT + 4, mark)
    lab.a.set_names({"server.example": "10.1.0.88"})
    client.wait_log(r"link l1: up, peer 10\.1\.0\.88", 25, mark)
    works(lab)


def test_a_name_that_is_missing_at_first(make_lab):
    """At boot there is no DNS yet."""
    lab = make_lab([Line(delay=5)])
    client = lab.conf("a", timeout=TIMEOUT)
    client["l1"]["remotehost"] = "server.example"
    lab.daemon("b", lab.conf("b", timeout=TIMEOUT)).start()
    daemon = lab.daemon("a", client).start()
    daemon.wait_log("link l1: no address of server.example: ", 10)
    assert daemon.up_links() == set()
    lab.a.set_names({"server.example": "10.1.0.2"})
    daemon.wait_up(timeout=15)


def test_an_interface_that_is_missing_at_first(make_lab):
    lab = make_lab([Line(delay=5), Line(delay=5)])
    line = lab.lines[0]
    line.remove_interface("a")
    confs = {side: lab.conf(side, timeout=TIMEOUT) for side in "ab"}
    for one in lab.lines:
        confs["a"][one.name]["interface"] = one.ifname
    lab.daemon("b", confs["b"]).start()
    client = lab.daemon("a", confs["a"]).start()
    client.wait_up(["l2"])
    line.restore_interface("a")
    client.wait_up(timeout=20)


@pytest.mark.parametrize("side, bound", [
    ("a", "bindhost"), ("a", "interface"), ("b", "bindhost"),
    ("b", "interface")])
def test_an_interface_goes_and_returns(make_lab, side, bound):
    """On the client or on the server."""
    lab = make_lab([Line(delay=5), Line(delay=5)])
    confs = {side: lab.conf(side, timeout=TIMEOUT) for side in "ab"}
    if bound == "interface":
        for one in lab.lines:
            confs[side][one.name].update(bindhost=None, interface=one.ifname)
    client, server = start(lab, hooks=False, confs=confs)
    marks = [daemon.mark() for daemon in (client, server)]
    lab.lines[0].remove_interface(side)
    for daemon, mark in zip((client, server), marks):
        daemon.wait_log("link l1: down", TIMEOUT + 4, mark)
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0
    lab.lines[0].restore_interface(side)
    for daemon in (client, server):
        daemon.wait_up(timeout=10)
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0


@pytest.mark.parametrize("which", ["client", "server"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_daemon_is_started_again(make_lab, which, how):
    """The other end comes back by itself."""
    lab = make_lab([Line(delay=5), Line(delay=5)])
    client, server = start(lab, hooks=False)
    daemon, other = ((client, server) if which == "client" else
                     (server, client))
    mark = other.mark()
    getattr(daemon, how)()
    if how == "stop":  # a clean end is announced to the peer
        other.wait_log("link l1: down, .*peer closed", 3, mark)
    daemon.start()
    for one in (client, server):
        one.wait_up(timeout=2 * TIMEOUT + 8)
    works(lab)


@pytest.mark.parametrize("which", ["client", "server"])
def test_a_crash_does_not_last_for_the_timeout(make_lab, which):
    """kill -9 and a new start, with the usual time-out of 10 s."""
    lab = make_lab([Line(delay=5), Line(delay=5)])
    client, server = lab.start()
    crashed, other, peer = ((client, server, "10.200.0.1")
                            if which == "client" else
                            (server, client, "10.200.0.2"))
    mark = other.mark()
    crashed.kill()
    crashed.start()
    started = time.monotonic()
    wait_for(lambda: measure.ping(other.host, peer, count=1,
                                  wait=0.5)["received"] == 1, 10,
             "an answer through the tunnel")
    assert time.monotonic() - started < 4
    other.wait_log("bond: the peer has started anew", 3, mark)
    for daemon in (client, server):
        daemon.wait_up(timeout=3)
    assert not other.log("link l[12]: down", mark)


def test_a_fallback_line_waits_for_its_turn(make_lab):
    """fallback_only carries traffic only while nothing else is up."""
    lab = make_lab([Line("10mbit", delay=5), Line("10mbit", delay=5)])
    confs = {side: lab.conf(side, timeout=TIMEOUT) for side in "ab"}
    for conf in confs.values():
        conf["l2"]["fallback_only"] = "yes"
    client, _ = start(lab, hooks=False, confs=confs)
    first, fallback = lab.lines
    lab.reset()
    measure.udp(lab.a, lab.b, rate=200, size=1000, seconds=1)
    assert fallback.stats()["up"]["in_bytes"] < 5000
    mark = client.mark()
    first.cut()
    client.wait_log("link l1: down", TIMEOUT + 3, mark)
    lab.reset()
    got = measure.udp(lab.a, lab.b, rate=200, size=1000, seconds=1)
    assert got["lost"] <= client.codel_drops()
    assert fallback.stats()["up"]["in_bytes"] > 200000


def test_a_bad_line_is_no_dead_line(make_lab):
    """10 % loss in bursts, jitter and duplicates: the link stays up, and nearly
    all packets arrive, as they are sent again."""
    lab = make_lab([Line("10mbit", delay=30, jitter=10)])
    # A burst takes packets, not time: of an idle line all of two seconds.
    confs = {side: lab.conf(side, timeout=5) for side in "ab"}
    client, server = start(lab, hooks=False, confs=confs)
    lab.lines[0].set(loss=10, burst=4, dup=2, reorder=2)
    marks = [daemon.mark() for daemon in (client, server)]
    got = measure.udp(lab.a, lab.b, rate=100, seconds=6)
    assert got["duplicates"] == 0
    assert got["lost"] / got["sent"] < 0.05
    for daemon, mark in zip((client, server), marks):
        assert not daemon.log("link l1: down", mark)
