"""Measurements over time: what a sparse flow feels beside a full one, and what
becomes of flows when a line dies, heals or gets slow."""
import time

import measure
from trials import (EXACT, MPTCP, announce, bare_mbps, ends, entered,
                    set_kernel, world)
from worlds import OUTER, ceiling

SPARSE = 50  # packets a second
PROBE_RTT = 9.5  # s from its start in which BBR does not pause to probe


def sparse(wires, way, congestion, seconds, both=False):
    """Delays in ms of a sparse unmarked flow, idle and beside a saturating
    one (both: and another in the other direction), and what those carried
    meanwhile: {way: (Mbit/s, Mbit/s of packets without data)}."""
    with world(wires, tick_us=EXACT) as lab:
        source, sink = ends(lab, way)
        idle = measure.udp(source, sink, rate=SPARSE, seconds=4)["delay_ms"]
        loads = {w: measure.Tcp(*ends(lab, w), congestion=congestion, skip=3,
                                seconds=seconds + 1)
                 for w in ("up", "down") if w == way or both}
        time.sleep(3)
        before, began = entered(lab), time.monotonic()
        busy = measure.udp(source, sink, rate=SPARSE, seconds=seconds)
        after, took = entered(lab), time.monotonic() - began
        return {"idle": idle, "busy": busy["delay_ms"], "lost": busy["lost"],
                "loads": {w: (load.result()["mbps"], bare_mbps(
                    before[w], after[w], took)) for w, load in loads.items()}}


def paced(wires, share=0.8, size=1300, seconds=5):
    """A UDP flow of a part of the lines' rate: what came out of order, and
    how much of it the receiver let through late because time was up."""
    rate = share * sum(w.mbit for w in wires) * 1e6 / 8 / (size + 28 + 60)
    with world(wires) as lab:
        got = measure.udp(lab.a, lab.b, rate=rate, size=size, seconds=seconds)
        order = lab.daemons[1].status()["bond"]["order"]
        return {**got, "late": order["late"],
                "deadlines": order["deadlines"]}


class Log:
    """One TCP stream and one sparse flow over a changing world, with times
    that can be compared."""

    def __init__(self, lab, way, congestion, seconds, lead=2.0):
        self.lab, self.way = lab, way
        self.source, self.sink = ends(lab, way)
        self.series = f"{lab.dir}/series"
        self.stream = measure.Stream(self.source, self.sink, interval=0.01,
                                     congestion=congestion, seconds=seconds)
        time.sleep(lead)
        self.udp = measure.Udp(self.source, self.sink, rate=SPARSE,
                               seconds=seconds - lead, series=self.series)

    def finish(self):
        self.tcp = self.stream.result(grace=2)
        self.sparse = self.udp.result()
        self.delays = sparse_series(self.series)
        return self

    def mbps(self, begin, end):
        """Of the stream, between two instants."""
        step, zero = self.tcp["interval"], self.tcp["first_at"]
        part = self.tcp["timeline"][max(0, round((begin - zero) / step)):
                                    max(0, round((end - zero) / step))]
        return sum(part) * 8e-6 / (end - begin)

    def lowest(self, begin, end, width=0.5):
        """The worst that many seconds within a span: Mbit/s, and when they
        began, in seconds from the begin of the span."""
        steps = int((end - begin - width) / 0.05)
        return min((self.mbps(begin + n * 0.05, begin + n * 0.05 + width),
                    n * 0.05) for n in range(steps + 1))

    def gap(self, begin, end):
        """The longest time without data that began within a span: ms, and when
        it began, in seconds from the begin of the span."""
        at = self.tcp["first_at"] + self.tcp["gap_at"]
        if begin <= at <= end:
            return self.tcp["gap_max_ms"], at - begin
        longest, run = (0, 0), 0
        step, zero = self.tcp["interval"], self.tcp["first_at"]
        for n, octets in enumerate(self.tcp["timeline"]):
            run = run + 1 if octets == 0 else 0
            if begin - zero <= n * step <= end - zero and run > longest[0]:
                longest = run, n + 1 - run
        run, first = longest
        if run == 0:
            return 0, 0
        return run * step * 1000, zero + first * step - begin

    def slow_until(self, change, within, limit_ms):
        """ms from a change to the last sparse packet that was slow."""
        slow = [sent - change for sent, delay in self.delays
                if 0 <= sent - change <= within and delay > limit_ms]
        return max(slow, default=0) * 1000


def busiest(lab, way):
    rates = measure.line_rates(lab, 0.5, way)
    return lab.lines[max(rates, key=rates.get) - 1]


def queue_drops(lab, way):
    """Packets that the sending daemon's queue dropped to tell the senders."""
    drops = lab.daemons[way == "down"].status()["bond"]["drops"]
    return drops["codel"] + drops["overload"]


def loss_counters(lab, way):
    found = measure.counters(ends(lab, way)[0])
    return {"again": found["TcpRetransSegs"],
            "timeouts": found["TcpExtTCPTimeouts"],
            "dropped": queue_drops(lab, way)}


def used_again(line, way, since, patience=6):
    """Seconds from an instant until the line carries a fifth of its rate."""
    want = 0.2 * line.rate(way) / 8  # bytes per second
    seen = []
    while time.monotonic() < since + patience:
        seen.append((time.monotonic(), line.stats()[way]["in_bytes"]))
        while seen[-1][0] - seen[0][0] > 0.1:
            seen.pop(0)
        (begin, low), (now, high) = seen[0], seen[-1]
        if now - begin > 0.05 and high - low > want * (now - begin):
            return now - since
        time.sleep(0.01)
    return patience


def black_hole(wires, congestion, ecn=False, way="up", dead=3.0, after=5.0):
    """The busiest line drops everything for `dead` seconds, then heals. What
    is lost is counted from then until 2 s after healing."""
    with world(wires, tick_us=EXACT) as lab:
        if ecn:
            for host in ends(lab, way):
                set_kernel(host, tcp_ecn=1)
        log = Log(lab, way, congestion, seconds=4.5 + dead + after)
        ping = measure.Ping(log.source, measure.inner(log.sink),
                            interval=0.05, count=round(20 * (dead + after) + 40))
        pinged_at = time.monotonic()
        time.sleep(1)
        line, before = busiest(lab, way), loss_counters(lab, way)
        cut = time.monotonic()
        zero = cut - 3
        line.cut()
        time.sleep(dead)
        heal = time.monotonic()
        line.heal()
        back = used_again(line, way, heal)
        time.sleep(max(0, heal + 2 - time.monotonic()))
        later = loss_counters(lab, way)
        log.finish()
        lost = {key: later[key] - before[key] for key in later}
        rest = [wire for wire, other in zip(wires, lab.lines)
                if other is not line]
        return {"gap": log.gap(cut - 0.05, heal + 2), "lost": lost,
                "udp_lost": log.sparse["lost"], "line": line.name,
                "back_s": back, "before_mbps": log.mbps(heal - 1, heal),
                "dead_mbps": log.mbps(cut, heal), "rest_mbps": ceiling(rest),
                "dip": log.lowest(heal, heal + min(3, after - 0.5)),
                "picture": {
                    "marks": [cut - zero, heal - zero],
                    "goodput": goodput_series(log.tcp, zero, 0.05),
                    "sparse": [(round(at - zero, 3), ms)
                               for at, ms in log.delays],
                    "ping": ping_series(ping.result(), pinged_at - zero)}}


def ping_series(ping, began, interval=0.05):
    return [(round(began + interval * (number - 1), 3), ms)
            for number, ms in ping["series"]]


def sparse_series(path, zero=0.0):
    """[(seconds, ms)]: when each packet of a series was sent, its delay."""
    with open(path) as f:
        rows = [[int(word) for word in line.split()] for line in f]
    return [(sent / 1e9 - zero, (got - sent) / 1e6) for _, sent, got in rows]


def goodput_series(tcp, zero, interval):
    """[(seconds, Mbit/s)] of a stream."""
    width = round(interval / tcp["interval"])
    line = tcp["timeline"]
    return [(round(tcp["first_at"] - zero + n * tcp["interval"], 3),
             round(sum(line[n:n + width]) * 8e-6 / interval, 2))
            for n in range(0, len(line) - width + 1, width)]


def edge(wires, congestion, seconds=15):
    """A line that loses every second packet under a flow: how often each end
    stops to use it, what it says of it, and what the flow gets."""
    with world(wires, tick_us=EXACT) as lab:
        log = Log(lab, "up", congestion, seconds=seconds + 3)
        marks = [daemon.mark() for daemon in lab.daemons]
        trials = [daemon.link("l1")["trials"] for daemon in lab.daemons]
        begin = time.monotonic()
        lab.lines[0].set(loss=50)
        time.sleep(seconds)
        left = [daemon.link("l1")["trials"] - old
                for daemon, old in zip(lab.daemons, trials)]
        logged = [{word: len(daemon.log(f"link l1: {word}", mark))
                   for word in ("used again", "up", "down")}
                  for daemon, mark in zip(lab.daemons, marks)]
        end = time.monotonic()
        log.finish()
        return {"trials": left, "logged": logged,
                "mbps": log.mbps(begin + 2, end),
                "lowest": log.lowest(begin, end if congestion != "bbr" else
                                     log.tcp["first_at"] + PROBE_RTT),
                "sparse_lost": log.sparse["lost"],
                "rest_mbps": ceiling(wires[1:])}


def slowed(wires, congestion, share=1.0, **change):
    """The first line changes under a flow: goodput and gaps from then on, how
    long a sparse flow is slow, and its delay and losses."""
    with world(wires, share=share, tick_us=EXACT) as lab:
        log = Log(lab, "up", congestion, seconds=11)
        time.sleep(2)
        at = time.monotonic()
        if change:
            lab.lines[0].set(**change)
        time.sleep(6)
        log.finish()
        before = sorted(ms for sent, ms in log.delays if sent < at)
        usual = before[len(before) // 2]
        return {"first_mbps": log.mbps(at, at + 1),
                "mbps": log.mbps(at + 1, at + 6),
                "gap": log.gap(at - 0.05, at + 6), "usual_ms": usual,
                "slow_ms": log.slow_until(at, 5, usual + 30),
                "delay_ms": log.sparse["delay_ms"],
                "sparse_lost": log.sparse["lost"]}


def from_start(wires, seconds=10, tunnel=True):
    """Series of one CUBIC flow from its start, and of a sparse flow and pings
    beside it: through the tunnel, or with the kernel's multipath TCP and
    beside it on the first line."""
    with world(wires, start=tunnel) as lab:
        to = None if tunnel else announce(lab, lab.b)
        series = f"{lab.dir}/series"
        udp = measure.Udp(lab.a, lab.b, to=to, rate=SPARSE,
                          seconds=seconds + 1, series=series)
        ping = measure.Ping(lab.a, to or measure.inner(lab.b), interval=0.05,
                            count=20 * (seconds + 1))
        zero = time.monotonic()
        time.sleep(1)
        tcp = measure.Stream(lab.a, lab.b, to=to, seconds=seconds,
                             interval=0.01, wrap=() if tunnel else MPTCP)
        stream, pings, sparse_flow = tcp.result(), ping.result(), udp.result()
        return {"goodput": goodput_series(stream, zero, 0.25),
                "sparse": sparse_series(series, zero), "marks": [],
                "ping": ping_series(pings, 0),
                "p99_ms": sparse_flow["delay_ms"]["p99"],
                "median_ms": sparse_flow["delay_ms"]["median"]}


def outer_and_inner(wires, seconds=6):
    """Bytes on all lines, both ways, while one flow runs, and what they had
    to be: the packets that came out of the tunnel and their headers."""
    with world(wires) as lab:
        time.sleep(1)
        hosts = (lab.a, lab.b)
        before = [measure.counters(host)["mlvpn0"] for host in hosts]
        lab.reset()
        measure.tcp(lab.a, lab.b, seconds=seconds, skip=0)
        time.sleep(0.5)
        outer = sum(stats[way]["in_bytes"] for stats in lab.stats().values()
                    for way in ("up", "down"))
        head = OUTER - int(lab.a.shell("cat /sys/class/net/mlvpn0/mtu"))
        inner = 0
        for host, old in zip(hosts, before):
            new = measure.counters(host)["mlvpn0"]
            inner += new["rx_bytes"] - old["rx_bytes"] + head * (
                new["rx_packets"] - old["rx_packets"])
        return {"outer": outer, "inner": inner}


def idle_bits(wires, seconds):
    """Bits per second of the busier direction of the busiest idle line, and
    of both directions together."""
    with world(wires) as lab:
        time.sleep(5)
        lab.reset()
        time.sleep(seconds)
        lines = [[stats[way]["in_bytes"] * 8 / seconds
                  for way in ("up", "down")] for stats in lab.stats().values()]
        return {"one": max(map(max, lines)), "both": max(map(sum, lines))}
