"""SIGHUP: what changed changes, what did not is not disturbed."""
import time

import pytest

import measure
from lab import Line, wait_for
from measure import best_of


def flows(lab, seconds):
    """A TCP flow and a probe, 200 a second, so small that CoDel leaves them
    in the queue when they wait for a busy machine."""
    return (measure.Stream(lab.a, lab.b, seconds=seconds),
            measure.Udp(lab.a, lab.b, rate=200, size=24, seconds=seconds))


def unharmed(stream, probe):
    tcp, udp = stream.result(), probe.result()
    assert tcp["bytes"] == tcp["sent_bytes"] > 1000000
    assert udp["lost"] == 0, udp
    assert udp["gap_max_ms"] < 2000, udp


def test_a_line_is_added_and_removed(make_lab):
    lab = make_lab([Line("10mbit", delay=5), Line("10mbit", delay=5)])
    full = {side: lab.conf(side) for side in "ab"}
    short = {side: conf.copy() for side, conf in full.items()}
    for conf in short.values():
        del conf["l2"]
    server = lab.daemon("b", short["b"]).start()
    client = lab.daemon("a", short["a"]).start().wait_up()
    server.wait_up()
    before = {d: d.link("l1")["handshakes"] for d in (client, server)}
    load = flows(lab, 6)
    for daemon in (server, client):
        daemon.reload(full[daemon.name])
    for daemon in (client, server):
        daemon.wait_up(["l1", "l2"], timeout=5)
    lab.reset()
    wait_for(lambda: lab.lines[1].stats()["up"]["in_bytes"] > 200000, 5,
             "traffic on the new line")
    # What is on its way on a line when the receiver takes it away is lost;
    # here it is the sender that begins, and says so behind his last packet.
    marks = client.mark(), server.mark()
    client.reload(short["a"])
    client.wait_log("link l2: down, .*removed", 3, marks[0])
    server.wait_log("link l2: down, .*peer closed", 3, marks[1])
    server.reload(short["b"])
    for daemon in (client, server):
        wait_for(lambda d=daemon: d.link("l2") is None, 3, "l2 gone")
    unharmed(*load)
    for daemon in (client, server):
        assert not daemon.log("link l1: down")
        assert daemon.link("l1")["handshakes"] == before[daemon]


@pytest.mark.measure
def test_a_rate_changes(make_lab):
    lab = make_lab([Line(delay=5), Line(delay=5)])
    confs = {side: lab.conf(side) for side in "ab"}
    for name in ("l1", "l2"):
        confs["a"][name]["bandwidth_upload"] = "8mbit"
    lab.daemon("b", confs["b"]).start()
    client = lab.daemon("a", confs["a"]).start().wait_up()
    load = flows(lab, 20)
    time.sleep(1)
    confs["a"]["l1"]["bandwidth_upload"] = "16mbit"
    client.reload(confs["a"])
    wait_for(lambda: client.link("l1")["rate_conf_Bps"] == 2000000, 3,
             "the new rate")
    time.sleep(1)

    def attempt():
        got = measure.line_rates(lab, 2)
        assert 0.7 * 16e6 < got[1] < 1.1 * 16e6
        assert 0.7 * 8e6 < got[2] < 1.1 * 8e6
    best_of(attempt)
    for flow in load:
        flow.stop()
    unharmed(*load)


def test_a_timeout_changes(make_lab):
    lab = make_lab([Line("10mbit", delay=5), Line("10mbit", delay=5)])
    confs = {side: lab.conf(side, timeout=20) for side in "ab"}
    for side in "ba":
        lab.daemon(side, confs[side]).start()
    server, client = lab.daemons
    for daemon in (client, server):
        daemon.wait_up()
    before = {n: client.link(n)["handshakes"] for n in ("l1", "l2")}
    load = flows(lab, 2)
    for daemon in (client, server):
        confs[daemon.name]["l1"]["timeout"] = 1
        daemon.reload(confs[daemon.name])
    unharmed(*load)
    assert before == {n: client.link(n)["handshakes"] for n in ("l1", "l2")}
    mark = client.mark()
    start = time.monotonic()
    for line in lab.lines:
        line.cut()
    when, _ = client.wait_log("link l1: down", 5, mark)
    assert when - start < 10
    assert client.up_links() == {"l2"}


def test_a_port_changes(make_lab):
    """One line gets another session; the other one does not notice."""
    lab = make_lab([Line("10mbit", delay=5), Line("10mbit", delay=5)])
    client, server = lab.start()
    before = {d: d.link("l1")["handshakes"] for d in (client, server)}
    load = flows(lab, 3)
    confs = {side: lab.conf(side) for side in "ab"}
    confs["a"]["l2"]["remoteport"] = confs["b"]["l2"]["bindport"] = 6000
    for daemon in (server, client):
        daemon.reload(confs[daemon.name])
    client.wait_log(r"link l2: up, peer 10\.2\.0\.2:6000", 5)
    tcp, udp = (flow.result() for flow in load)
    assert tcp["bytes"] == tcp["sent_bytes"] > 1000000
    # Only what was on its way on l2 may be gone.
    assert udp["lost"] <= 10, udp
    for daemon in (client, server):
        assert not daemon.log("link l1: down")
        assert daemon.link("l1")["handshakes"] == before[daemon]


def test_addresses_and_routes_change(make_lab):
    lab = make_lab([Line("10mbit", delay=5)])
    client, _ = lab.start()
    load = measure.Udp(lab.a, lab.b, rate=200, seconds=1)
    client.reload(lab.conf("a", mtu=1280, ip4_routes="192.0.2.0/24",
                           ip6_routes="fd00:99::/64"))

    def route(to):
        return "mlvpn0" in lab.a.run("ip", "route", "get", to,
                                     check=False).stdout
    wait_for(lambda: route("192.0.2.1") and route("fd00:99::1"), 3, "routes")
    assert "mtu 1280" in lab.a.shell("ip link show mlvpn0")
    client.reload(lab.conf("a"))
    wait_for(lambda: not route("192.0.2.1") and not route("fd00:99::1"), 3,
             "the end of the routes")
    assert "mtu 1440" in lab.a.shell("ip link show mlvpn0")
    assert load.result()["lost"] <= client.codel_drops()


@pytest.mark.parametrize("key, value", [
    ("mode", "server"), ("tuntap", "tap"), ("interface_name", "mlvpn7")])
def test_what_needs_a_restart_says_so(make_lab, key, value):
    lab = make_lab([Line("10mbit", delay=5)])
    client, _ = lab.start()
    changed = client.conf.copy()
    changed["general"][key] = value
    if value == "server":
        changed["l1"] = {"bindport": 5090}
    socket_name = client.conf["general"]["interface_name"]
    client.reload(changed)
    client.wait_log(f"a change of {key} needs a restart", 5)
    client.wait_log("configuration not reloaded, nothing has changed", 5)
    client.conf["general"]["interface_name"] = socket_name
    assert client.link("l1")["flaps"] == 0
    assert measure.ping(lab.a, "10.200.0.2", count=3)["lost"] == 0


def test_a_password_changes(make_lab):
    """New handshakes use the new one, sessions go on, and the old one is
    still good while only one side has changed."""
    lab = make_lab([Line("10mbit", delay=5)])
    client, server = lab.start()
    load = flows(lab, 6)
    new = "a brand new password of the lab"
    server.reload(lab.conf("b", password=new))
    time.sleep(1)  # scrypt, in a child
    client.ask("rekey")  # still with the old one
    time.sleep(0.5)
    client.reload(lab.conf("a", password=new))
    time.sleep(1)
    shakes = server.link("l1")["handshakes"]
    client.ask("rekey")
    wait_for(lambda: server.link("l1")["handshakes"] > shakes, 5,
             "a handshake with the new password")
    unharmed(*load)
    # A client that only knows the new one gets in as well.
    client.restart().wait_up(timeout=15)
    assert not server.log("wrong password")


@pytest.mark.parametrize("breakage, said", [
    (("l1", "remoteport", "99999"), r"remoteport"),
    (("l1", "colour", "blue"), r"colour"),
    (("general", "timeout", "soon"), r"timeout"),
    (("l1", "remotehost", None), r"remotehost"),
], ids=lambda value: value[1] if isinstance(value, tuple) else "")
def test_a_broken_file_changes_nothing(make_lab, breakage, said):
    lab = make_lab([Line("10mbit", delay=5)])
    client, _ = lab.start()
    before = client.link("l1")
    load = measure.Udp(lab.a, lab.b, rate=200, seconds=1)
    section, key, value = breakage
    conf = client.conf.copy()
    conf[section][key] = value
    conf["l1"]["bandwidth_upload"] = "1mbit"  # would show
    mark = client.mark()
    client.reload(conf)
    _, text = client.wait_log(rf"{said}", 5, mark)
    assert client.log(r"a\.conf:\d+: .*(expected|missing)", mark), text
    client.wait_log("nothing has changed", 5, mark)
    assert load.result()["lost"] <= client.codel_drops()
    after = client.link("l1")
    assert after["rate_conf_Bps"] == before["rate_conf_Bps"]
    assert after["handshakes"] == before["handshakes"]


def test_a_missing_file_changes_nothing(make_lab):
    import os
    lab = make_lab([Line("10mbit", delay=5)])
    client, _ = lab.start()
    mark = client.mark()
    os.unlink(client.conf_path)
    client.reload()
    client.wait_log(r"a\.conf", 5, mark)
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0
    client.reload(lab.conf("a"))  # and it can be mended
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0


def test_reloads_in_a_row(make_lab):
    """A nervous administrator."""
    lab = make_lab([Line("10mbit", delay=5), Line("10mbit", delay=5)])
    client, server = lab.start()
    full, short = client.conf, client.conf.copy()
    del short["l2"]
    probe = measure.Udp(lab.a, lab.b, rate=200, seconds=4)
    for n in range(20):
        client.reload(short if n % 2 else full)
        time.sleep(0.05)
    client.reload(full)
    client.wait_up(timeout=15)
    got = probe.result()
    assert got["lost"] <= 4 + client.codel_drops(), \
        "only what was on its way on the removed line"
    assert not client.log("link l1: down") and not server.log("link l1: down")
