"""The main job: two routers, their two files, and everything passes."""
import time

import pytest

import measure
from lab import Line, Process, wait_for
from measure import best_of

SERIAL = pytest.mark.measure


def goodput_limit(lab, daemon, rate_bps, v6_outside=False):
    """What headers leave of a rate for TCP over IPv4 with timestamps."""
    mtu = daemon.status()["mtu"]
    outer = mtu + (80 if v6_outside else 60)
    return rate_bps * (mtu - 52) / outer


@pytest.mark.parametrize("tuntap", ["tun", "tap"])
@pytest.mark.parametrize("outside", ["v4", "v6"])
def test_everything_passes(make_lab, outside, tuntap):
    """TCP, UDP, ICMP over IPv4 and IPv6, both ways; nothing but two files."""
    lab = make_lab([Line("20mbit", delay=3), Line("20mbit", delay=5)])
    lab.start(v6=outside == "v6", tuntap=tuntap)
    for v6 in (False, True):
        for source, sink in ((lab.a, lab.b), (lab.b, lab.a)):
            to = measure.inner(sink, v6)
            ping = measure.ping(source, to, count=5)
            assert ping["lost"] == 0 and ping["min"] < 60, ping
            big = measure.ping(source, to, count=2, size=4000)
            assert big["lost"] == 0, ("fragments", to, big)
            udp = measure.udp(source, sink, v6=v6, rate=100, size=1000,
                              seconds=0.3)
            assert udp["lost"] == 0 and udp["duplicates"] == 0
            tcp = measure.Stream(source, sink, v6=v6, seconds=0.5).result()
            assert tcp["bytes"] == tcp["sent_bytes"] > 100000
    for line in lab.lines:
        for direction in ("up", "down"):
            assert line.stats()[direction]["in_bytes"] > 50000


@SERIAL
def test_sixteen_lines_come_up_at_once(make_lab):
    lab = make_lab([Line("10mbit", delay=5) for _ in range(16)])
    server = lab.daemon("b").start()
    wait_for(server.status_if_any, 10, "the server")
    time.sleep(0.5)  # its keys are made
    client = lab.daemon("a")
    start = time.monotonic()
    client.start()
    client.wait_up()
    when = [client.wait_log(f"link {line.name}: up")[0] for line in lab.lines]
    assert max(when) - start < 5, "with the start of the process itself"

    def attempt():
        lab.reset()
        tcp = measure.tcp(lab.a, lab.b, seconds=2, parallel=2)
        assert tcp["mbps"] > 40, "four lines or more"
        for line in lab.lines:
            assert line.stats()["up"]["in_bytes"] > 100000
    best_of(attempt)


def test_without_rates_all_lines_are_used(make_lab):
    """Their rates are found, each on its own: the shares are alike."""
    lab = make_lab([Line("20mbit", delay=5) for _ in range(3)])
    lab.start(share=None)
    measure.udp(lab.a, lab.b, rate=1000, size=1000, seconds=1)
    shares = [line.stats()["up"]["in_bytes"] for line in lab.lines]
    assert max(shares) < 4 * min(shares)


@SERIAL
def test_two_equal_lines_carry_one_flow(make_lab):
    """One CUBIC flow gets far more than one of them has, both ways."""
    lab = make_lab([Line("50mbit", delay=10) for _ in range(2)])
    client, _ = lab.start()
    limit = goodput_limit(lab, client, 2 * 0.97 * 50e6) / 1e6
    for source, sink in ((lab.a, lab.b), (lab.b, lab.a)):
        def attempt():
            got = measure.tcp(source, sink, seconds=3, skip=1)
            assert got["mbps"] > 0.7 * limit
        best_of(attempt)


@SERIAL
@pytest.mark.parametrize("ratio", [(2, 3), (7, 3), (1, 2, 3)],
                         ids=lambda r: ":".join(map(str, r)))
def test_lines_share_in_proportion(make_lab, ratio):
    """Bytes in each line follow the ratio of the rates, both ways."""
    unit = 40 / sum(ratio)
    lab = make_lab([Line(f"{part * unit:g}mbit", delay=8) for part in ratio])
    lab.start()
    for direction, source, sink in (("up", lab.a, lab.b),
                                    ("down", lab.b, lab.a)):
        def attempt():
            flow = measure.Tcp(source, sink, seconds=10, skip=0, parallel=2)
            time.sleep(1)  # slow start is over
            lab.reset()
            time.sleep(1.5)
            stats = lab.stats()
            flow.stop()
            sent = [line[direction]["in_bytes"] for line in stats.values()]
            for part, bytes_ in zip(ratio, sent):
                assert bytes_ / sum(sent) == pytest.approx(
                    part / sum(ratio), rel=0.15), (direction, sent)
        best_of(attempt)


def test_hosts_behind_the_routers(make_lab):
    """ip4_routes and ip6_routes of the file join two networks."""
    lab = make_lab([Line("20mbit", delay=3)], behind=True)
    confs = {side: lab.conf(side, ip4_routes=f"10.100.{other}.0/24",
                            ip6_routes=f"fd00:{other}::/64")
             for side, other in (("a", 2), ("b", 1))}
    for side in "ba":
        lab.daemon(side, confs[side]).start()
    for daemon in lab.daemons:
        daemon.wait_up()
    assert measure.ping(lab.ca, "10.100.2.2", count=3)["lost"] == 0
    assert measure.ping(lab.cb, "fd00:1::2", count=3)["lost"] == 0
    tcp = measure.tcp(lab.ca, lab.cb, to="10.100.2.2", seconds=1, skip=0)
    assert tcp["mbps"] > 1


def test_packets_too_big_get_an_answer(make_lab):
    """Path MTU discovery works from behind a router."""
    lab = make_lab([Line("20mbit", delay=3)], behind=True)
    for side, other in (("b", 1), ("a", 2)):
        lab.daemon(side, lab.conf(side, ip4_routes=f"10.100.{other}.0/24",
                                  ip6_routes=f"fd00:{other}::/64")).start()
    for daemon in lab.daemons:
        daemon.wait_up()
    for to in ("10.100.2.2", "fd00:2::2"):
        out = lab.ca.run("ping", "-M", "do", "-s", "1472" if "." in to else
                         "1452", "-c", "1", "-W", "1", to, check=False)
        assert "mtu" in (out.stdout + out.stderr).lower()


def test_two_tunnels_on_one_server(make_lab):
    """Two daemons on one host do not meet."""
    lab = make_lab([Line("20mbit", delay=3), Line("20mbit", delay=3)])
    for number in (1, 2):
        for side, last in (("b", 2), ("a", 1)):
            conf = lab.conf(side, interface_name=f"mlvpn{number}",
                            ip4=f"10.20{number}.0.{last}/24",
                            ip6=f"fd00:20{number}::{last}/64",
                            table=27000 + number)
            del conf[f"l{3 - number}"]
            lab.daemon(side, conf, name=f"{side}{number}").start()
    for daemon in lab.daemons:
        daemon.wait_up()
    for number in (1, 2):
        to = f"10.20{number}.0.2"
        assert measure.ping(lab.a, to, count=3)["lost"] == 0
    assert all(line.stats()["up"]["in_packets"] > 3 for line in lab.lines)


def test_a_wildcard_server_answers_from_the_asked_address(make_lab):
    """The server has no bindhost; the client speaks to its address on lo,
    over two lines, each bound to its interface."""
    lab = make_lab([Line("20mbit", delay=3), Line("20mbit", delay=3)])
    server, client = lab.conf("b", timeout=1), lab.conf("a", timeout=1)
    for line in lab.lines:
        del server[line.name]["bindhost"]
        client[line.name].update(remotehost="203.0.113.1",
                                 interface=line.ifname)
    lab.daemon("b", server).start()
    daemon = lab.daemon("a", client).start().wait_up()
    assert {link["peer"] for link in daemon.status()["links"]} == {
        "203.0.113.1:5081", "203.0.113.1:5082"}
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0
    lab.lines[0].cut()
    daemon.wait_down("l1")
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0


def test_everything_goes_through_the_tunnel(make_lab):
    """A default route of the file does not swallow what carries it."""
    lab = make_lab([Line("20mbit", delay=3)], behind=True)
    client = lab.conf("a", timeout=1, ip4_routes="0.0.0.0/0",
                      ip6_routes="::/0")
    # Behind a wildcard address only routes find the server.
    client["l1"].update(bindhost=None, remotehost="203.0.113.1")
    server = lab.conf("b", timeout=1, ip4_routes="10.100.1.0/24",
                      ip6_routes="fd00:1::/64")
    del server["l1"]["bindhost"]
    lab.daemon("b", server).start()
    daemon = lab.daemon("a", client).start().wait_up()
    lab.a.ip("route del 203.0.113.1 dev wan1 metric 1",
             "route add default via 10.1.0.2 dev wan1")
    for host, to in ((lab.ca, "10.100.2.2"), (lab.a, "10.100.2.2"),
                     (lab.ca, "fd00:2::2")):
        assert measure.ping(host, to, count=20)["lost"] == 0
    # Its own networks stay where they are.
    assert measure.ping(lab.a, "10.100.1.2", count=1)["lost"] == 0
    time.sleep(1.5)  # longer than the time-out
    assert daemon.link("l1")["flaps"] == 0
    assert daemon.status()["bond"]["drops"]["loop"] == 0


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_a_route_into_itself_is_cut(make_lab, v6):
    """The administrator routes the peer into the tunnel: no storm, a word in
    the log, and all is well when he takes it back."""
    lab = make_lab([Line("20mbit", delay=3)])
    client, _ = lab.start(v6=v6, timeout=1)
    peer = "fd01::2" if v6 else "10.1.0.2"
    lab.a.ip(f"route add {peer} dev mlvpn0")
    client.wait_log("mlvpn0: .*routed into itself", 5)
    client.wait_log("link l1: down", 5)
    assert 0 < client.status()["bond"]["drops"]["loop"] < 1000
    lab.a.ip(f"route del {peer} dev mlvpn0")
    client.wait_up(timeout=10)
    assert len(client.log("routed into itself")) == 1


def test_packets_too_big_for_the_peer_get_an_answer(make_lab):
    """Only the other router's file has a small mtu."""
    lab = make_lab([Line("20mbit", delay=3)], behind=True)
    lab.daemon("b", lab.conf("b", mtu=1300, ip4_routes="10.100.1.0/24",
                             ip6_routes="fd00:1::/64")).start()
    lab.daemon("a", lab.conf("a", ip4_routes="10.100.2.0/24",
                             ip6_routes="fd00:2::/64")).start().wait_up()
    # What may be cut is cut: a whole packet, and one in pieces already.
    for size in (1380, 3000):
        out = lab.ca.run("ping", "-M", "dont", "-s", size, "-c", "3", "-i",
                         "0.2", "-W", "1", "10.100.2.2", check=False)
        assert " 3 received" in out.stdout, out.stdout
    assert lab.daemons[1].status()["bond"]["fragmented"] >= 6
    for to in ("10.100.2.2", "fd00:2::2"):
        head = 28 if "." in to else 48
        out = lab.ca.run("ping", "-M", "do", "-s", 1301 - head, "-c", "1",
                         "-W", "1", to, check=False)
        assert "1300" in out.stdout + out.stderr
        out = lab.ca.run("ping", "-M", "do", "-s", 1300 - head, "-c", "1",
                         "-W", "1", to, check=False)
        assert " 1 received" in out.stdout
    # And a transfer finds its way by itself.
    tcp = measure.tcp(lab.ca, lab.cb, to="10.100.2.2", seconds=1, skip=0)
    assert tcp["mbps"] > 1


def test_it_ends_without_a_trace(make_lab):
    """After SIGTERM: no device, no process, status 0."""
    lab = make_lab([Line(delay=1)])
    client, server = lab.start()
    worker = client.worker()
    assert client.stop() == 0 and server.stop() == 0
    assert not Process(worker.pid).alive()
    for host in (lab.a, lab.b):
        assert "mlvpn0" not in host.shell("ip -br link")
        assert not host.shell("ip rule list | grep -v -e local -e main "
                              "-e default || :").strip()
