"""The lab itself: lines do what they are told, and nothing stays behind."""
import os
import signal
import subprocess
import time

import pytest

import measure
from frames import Datagram, Tap
from host import Process, wait_for
from lab import Line, bits
from measure import best_of

HERE = os.path.dirname(os.path.abspath(__file__))


def flow(lab, line, **options):
    return measure.udp(lab.a, lab.b, to=line.b4, **options)


@pytest.mark.measure
@pytest.mark.parametrize("rate", ["256kbit", "50mbit"])
def test_rate_is_exact(make_lab, rate):
    """A line whose queue never runs empty delivers its rate in IP bytes, from
    the first packet to the last: here two seconds' worth, sent in less."""
    lab = make_lab([Line(rate, delay=1, queue="3000ms")])

    def attempt():
        got = measure.Udp(lab.a, lab.b, to=lab.lines[0].b4, size=972,
                          seconds=0.2, rate=10 * bits(rate) / 8000).result(9)
        assert got["lost"] == 0
        left = (got["received"] - 1) * 8000 / got["seconds"]
        assert left == pytest.approx(bits(rate), rel=0.02)
    best_of(attempt)


@pytest.mark.measure
def test_a_gigabit_line_misses_nothing(make_lab):
    """It takes all that this machine has the time to send."""
    lab = make_lab([Line("1gbit", delay=1)])

    def attempt():
        lab.reset()
        got = measure.tcp(lab.a, lab.b, to=lab.lines[0].b4, seconds=1.5)
        assert got["mbps"] > 50
        stats = lab.lines[0].stats()
        assert stats["missed"] == 0 and stats["send_errors"] == 0
    best_of(attempt)


@pytest.mark.measure
def test_delay_is_exact_in_each_direction(make_lab):
    lab = make_lab([Line(up=dict(delay=10), down=dict(delay=40))])
    line = lab.lines[0]

    def attempt():
        up = flow(lab, line, rate=200, seconds=1)["delay_ms"]
        down = measure.udp(lab.b, lab.a, to=line.a4, rate=200,
                           seconds=1)["delay_ms"]
        assert up["min"] < 10.5 and 9.9 < up["median"] < 15
        assert down["min"] < 40.5 and 39.9 < down["median"] < 45
    best_of(attempt)


def test_loss_follows_the_seed(make_lab):
    """The same seed loses the same packets, another one others."""
    lost = []
    for seed in (1, 1, 2):
        lab = make_lab([Line(up=dict(loss=5))], seed=seed)
        series = f"{lab.dir}/series"
        got = flow(lab, lab.lines[0], rate=5000, seconds=1, series=series)
        assert 0.035 < got["lost"] / got["sent"] < 0.065
        with open(series) as f:
            lost.append(set(range(got["sent"])) -
                        {int(text.split()[0]) for text in f})
        lab.close()
    assert lost[0] == lost[1] != lost[2]


def test_losses_come_in_bursts(make_lab):
    lab = make_lab([Line(up=dict(loss=5, burst=8))])
    series = f"{lab.dir}/series"
    got = flow(lab, lab.lines[0], rate=10000, seconds=3, series=series)
    with open(series) as f:
        seen = {int(text.split()[0]) for text in f}
    lost = [seq for seq in range(got["sent"]) if seq not in seen]
    bursts = sum(1 for seq in lost if seq - 1 in seen)
    assert 0.03 < len(lost) / got["sent"] < 0.07
    assert 6 < len(lost) / bursts < 10


def test_jitter_keeps_the_order(make_lab):
    lab = make_lab([Line(delay=20, jitter=3)])
    got = flow(lab, lab.lines[0], rate=1000, seconds=1)
    assert got["reordered"] == 0 and got["lost"] == 0
    assert got["delay_ms"]["p99"] - got["delay_ms"]["min"] > 5


def test_reordering_and_duplicates(make_lab):
    lab = make_lab([Line(delay=2, reorder=5, late=5, dup=3)])
    got = flow(lab, lab.lines[0], rate=2000, seconds=1)
    assert got["lost"] == 0
    assert 0.03 < got["reordered"] / got["sent"] < 0.07
    assert 0.015 < got["duplicates"] / got["sent"] < 0.05


def test_a_flipped_bit_reaches_the_application(make_lab):
    """The emulator mends the checksum, so that the daemon has to notice."""
    lab = make_lab([Line(up=dict(flip=100))])
    line = lab.lines[0]
    for host, to, bind in ((lab.a, line.b4, ""), (lab.a, line.b6, "::")):
        family = 10 if ":" in to else 2
        sink = lab.b.socket(family)
        sink.bind((bind, 9000))
        sink.settimeout(3)
        source = host.socket(family)
        for _ in range(20):
            source.sendto(bytes(101), (to, 9000))
            got = sink.recv(200)
            assert len(got) == 101
            assert sum(byte.bit_count() for byte in got) == 1
        sink.close()
        source.close()
    assert line.stats()["up"]["flipped"] >= 40


def test_queue_is_limited_in_bytes(make_lab):
    """100 ms of queue delay a packet by 100 ms at most."""
    lab = make_lab([Line("2mbit", delay=5, queue="100ms")])

    def attempt():
        lab.reset()
        got = flow(lab, lab.lines[0], rate=400, size=972, seconds=2)
        assert got["lost"] > 100
        assert 90 < got["delay_ms"]["p90"] < 130
        assert 90 < lab.lines[0].stats()["up"]["queue_max_ms"] < 102
    best_of(attempt)


def test_changes_while_it_runs(make_lab):
    lab = make_lab([Line(delay=1), Line(delay=1)])
    one, two = lab.lines
    assert measure.ping(lab.a, one.b4)["min"] < 30
    one.set(delay=30)
    assert 60 < measure.ping(lab.a, one.b4)["min"] < 120
    one.cut("down")
    assert measure.ping(lab.a, one.b4, count=2, wait=0.3)["received"] == 0
    assert measure.ping(lab.a, two.b4, count=2)["received"] == 2
    one.heal()
    assert measure.ping(lab.a, one.b6, count=2)["received"] == 2


def test_windows_show_bursts(make_lab):
    """100 packets at once are the most in 50 ms, and the depth as well."""
    lab = make_lab([Line("1gbit")])
    line = lab.lines[0]
    line.set("up", depth="1mbit")

    def attempt():
        lab.reset()
        with lab.a.socket() as sock:
            for _ in range(100):
                sock.sendto(bytes(972), (line.b4, 9))
        wait_for(lambda: line.stats()["up"]["in_packets"] >= 100, 5,
                 "100 packets")
        stats = line.stats()["up"]
        assert stats["window_max_bytes"] == 100000
        assert 95000 < stats["depth_max_bytes"] <= 100000
    best_of(attempt)
    lab.reset()
    assert line.stats()["up"]["in_packets"] == 0


def test_interface_and_address_come_and_go(make_lab):
    lab = make_lab([Line(delay=1)])
    line = lab.lines[0]
    line.remove_interface("a")
    assert "wan1" not in lab.a.shell("ip -br link")
    line.restore_interface("a")
    assert measure.ping(lab.a, line.b4, count=2)["received"] == 2
    line.change_address("a", v4="10.1.0.77", v6="fd01::77")
    line.change_address("b", v4="10.1.0.78")
    assert measure.ping(lab.a, "10.1.0.78", count=2)["received"] == 2
    assert measure.ping(lab.b, "fd01::77", count=2)["received"] == 2


def test_nat_mapping_changes(make_lab):
    lab = make_lab([Line(nat=True, delay=1)])
    line = lab.lines[0]
    sink, source = lab.b.socket(), lab.a.socket()
    sink.bind(("", 9000))
    sink.settimeout(3)
    seen = []
    for first_port in (None, 30000):
        if first_port:
            lab.renew_nat(first_port)
        source.sendto(b"x", (line.b4, 9000))
        seen.append(sink.recvfrom(10)[1])
        sink.sendto(b"y", seen[-1])
        source.settimeout(3)
        assert source.recv(10) == b"y"
    assert all(address == line.nat4 for address, _ in seen)
    assert seen[0][1] < 30000 <= seen[1][1]
    sink.close()
    source.close()


def test_names_of_a_host_change(make_lab):
    lab = make_lab()
    for address in ("10.1.0.2", "10.1.0.3"):
        lab.a.set_names({"server.example": address})
        assert address in lab.a.run("getent", "hosts", "server.example").stdout
    assert lab.b.run("getent", "hosts", "server.example",
                     check=False).stdout == ""


def test_syslog_is_heard(make_lab):
    lab = make_lab()
    lab.a.run("logger", "-t", "mlvpn-a", "link l1: up, peer 10.0.0.1")
    _, text = lab.a.syslog.wait(r"mlvpn-a: link l1: up, peer", 5)
    assert not lab.b.syslog.lines, text


def test_capture_and_injection(make_lab):
    lab = make_lab([Line()])
    line = lab.lines[0]
    for to, mine in ((line.b4, line.a4), (line.b6, line.a6)):
        sink = lab.b.socket(10 if ":" in to else 2)
        sink.bind(("", 9000))
        sink.settimeout(3)
        source = lab.a.socket(sink.family)
        with Tap(line, "a") as from_a, Tap(line, "b") as to_b:
            source.sendto(b"captured", (to, 9000))
            assert sink.recv(100) == b"captured"
            wait_for(lambda: from_a.datagrams, 3, "a captured datagram")
            seen = from_a.datagrams[0]
            assert (seen.src, seen.dst, seen.dport) == (mine, to, 9000)
            to_b.inject(seen, seen.flipped(0),
                        Datagram("192.0.2.9", 5, line.b4, 9000, b"odd"))
            assert sink.recv(100) == b"captured"
            assert sink.recv(100) == b"baptured"
        sink.close()
        source.close()


def test_hosts_behind_the_routers(make_lab):
    lab = make_lab([Line(delay=1)], behind=True)
    lab.a.ip("route add 10.100.2.0/24 via 10.1.0.2")
    lab.b.ip("route add 10.100.1.0/24 via 10.1.0.1")
    assert measure.ping(lab.ca, "10.100.2.2", count=2)["received"] == 2


def test_a_line_is_recorded(make_lab):
    lab = make_lab([Line()])
    path = f"{lab.dir}/line.pcap"
    lab.lines[0].record(path)
    measure.ping(lab.a, lab.lines[0].b4, count=3)
    lab.lines[0].record(None)
    assert os.path.getsize(path) >= 24 + 6 * (16 + 98)


def test_nothing_is_left_after_sigkill():
    """A second lab runs inside this one; its launcher is killed."""
    script = ("import sys, time; sys.path.insert(0, sys.argv[1])\n"
              "from lab import Lab, Line\n"
              "lab = Lab([Line(), Line()])\n"
              "print('built', flush=True)\n"
              "time.sleep(1000)\n")
    env = {k: v for k, v in os.environ.items() if k != "MLVPN_LAB"}
    launcher = subprocess.Popen(
        [f"{HERE}/lab", "/usr/bin/python3", "-c", script, HERE],
        stdout=subprocess.PIPE, text=True, env=env)
    assert launcher.stdout.readline() == "built\n"

    def family(pid):
        return [pid] + [grand for child in Process(pid).children()
                        for grand in family(child.pid)]

    started = family(launcher.pid)
    assert len(started) >= 6
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    launcher.stdout.close()
    wait_for(lambda: not [pid for pid in started if Process(pid).alive()],
             5, "all processes of the lab gone")
    with open("/proc/mounts") as f:
        assert "lab/lab" not in f.read()


def test_the_lab_is_quick():
    """16 lines are built in a second or two, of a quiet machine."""
    from lab import Lab
    start = time.monotonic()
    with Lab([Line("10mbit", delay=5) for _ in range(16)]) as lab:
        assert measure.ping(lab.a, lab.lines[15].b4, count=2)["received"] == 2
    assert time.monotonic() - start < 30
