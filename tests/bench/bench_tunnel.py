"""What the tunnel achieves between two routers, beside what it should.

usage: tests/net/lab python3 tests/bench/bench_tunnel.py [-o FILE] [ROW...]

Every figure is a ratio or a difference within one run, as the machine may be
busy with other things. Lines are configured at their emulated rate unless the
row says otherwise, both counting outer IP bytes; the ceiling of a goodput is
the sum of the rates x inner TCP payload / outer IP bytes."""
import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../net"))

import measure  # noqa: E402
from lab import Lab, Line, bits, wait_for  # noqa: E402

SECONDS, START = 10, 4
OUTER, MTU = 1500, 1440  # bytes, IPv4 outside
TCP_PAYLOAD = MTU - 20 - 32  # with time stamps
SIZE = 1300  # bytes of a packet that fills a line
rows = []


class Row:
    """One figure: its name, target and whether more or less is better."""

    def __init__(self, name, value, target, unit="", less=False, note=""):
        self.name, self.value, self.target = name, value, target
        self.unit, self.less, self.note = unit, less, note

    def met(self):
        return self.value <= self.target if self.less else \
            self.value >= self.target

    def __str__(self):
        sign = "<=" if self.less else ">="
        return (f"{self.name:<44} {sign} {self.target:>7.4g} "
                f"{self.value:>9.4g} {self.unit:<6} "
                f"{'' if self.met() else 'MISSED '}{self.note}").rstrip()


def row(function):
    rows.append(function)
    return function


def ceiling(rates):
    """Mbit/s of TCP payload that the lines can carry."""
    return sum(bits(r) for r in rates) / 1e6 * TCP_PAYLOAD / OUTER


def goodput(name, rates, target, congestion="cubic", reverse=False,
            delays=None):
    delays = delays or [10] * len(rates)
    with Lab([Line(rate, delay=delay)
              for rate, delay in zip(rates, delays)]) as lab:
        lab.start(share=1.0)
        ends = (lab.b, lab.a) if reverse else (lab.a, lab.b)
        got = measure.tcp(*ends, congestion=congestion, seconds=SECONDS,
                          skip=START)["mbps"]
        return Row(name, 100 * got / ceiling(rates), target, "%",
                   note=f"{got:.1f} Mbit/s")


@row
def eq2(report):
    """Two lines of 50 Mbit/s, 10 ms, one flow."""
    for congestion in ("cubic", "bbr"):
        for reverse in (False, True):
            way = "down" if reverse else "up"
            report(goodput(f"eq2 goodput, {congestion} {way}",
                           ["50mbit"] * 2, 96, congestion, reverse))


@row
def unequal(report):
    """Lines of different rate and delay, one flow."""
    for name, rates, delays in (
            ("20/10 ms + 10/12 ms + 5/15 ms", (20, 10, 5), (10, 12, 15)),
            ("100/5 ms + 20/20 ms + 5/50 ms", (100, 20, 5), (5, 20, 50)),
            ("50/20 ms + 50/70 ms", (50, 50), (20, 70))):
        report(goodput(name, [f"{rate}mbit" for rate in rates], 93,
                       delays=delays))


@row
def shares(report):
    """Bytes of each line against its part of the rates."""
    for parts in ((2, 3), (7, 3), (1, 2, 3)):
        unit = 100 / sum(parts)
        with Lab([Line(f"{p * unit}mbit", delay=10) for p in parts]) as lab:
            lab.start(share=1.0)
            load = measure.Tcp(lab.a, lab.b, seconds=7, skip=0)
            time.sleep(2)
            got = measure.line_rates(lab, 4)
            load.result()
        worst = max(abs(got[n + 1] / sum(got.values()) * sum(parts) / p - 1)
                    for n, p in enumerate(parts))
        report(Row("share " + ":".join(map(str, parts)) + ", worst line off by",
                   100 * worst, 2, "%", less=True))


def flooded(rate, seconds=3):
    """The line's counters while more enters the tunnel than fits. Nobody
    receives: two cores are not enough for a sender and a receiver of 1 Gbit/s
    and the line between them."""
    with Lab([Line(delay=2)]) as lab:
        confs = {side: lab.conf(side, timeout=300) for side in "ab"}
        for side in "ba":
            confs[side]["l1"]["bandwidth_upload"] = rate
            lab.daemon(side, confs[side]).start()
        for daemon in lab.daemons:
            daemon.wait_up()
        load = measure.Udp(lab.a, lab.b, size=SIZE, seconds=seconds + 3,
                           rate=1.2 * bits(rate) / 8 / SIZE)
        time.sleep(0.5)
        lab.lines[0].cut()
        time.sleep(1)
        lab.reset()
        time.sleep(seconds)
        stats = lab.lines[0].stats()["up"]
        for process in (load.sender, load.receiver):
            process.kill()
            process.wait()
        return stats


@row
def rate(report):
    """A loaded line runs at its rate and never far above it."""
    for name in ("256kbit", "2mbit", "50mbit", "300mbit", "1gbit"):
        stats, want = flooded(name), bits(name)
        got = stats["in_bytes"] * 8 / stats["seconds"]
        off = max(0, abs(got - want) * stats["seconds"] / 8 - OUTER)
        report(Row(f"rate {name}, off by",
                   100 * off * 8 / stats["seconds"] / want, 1, "%", less=True))
        # The pacer's depth: a packet, 1 ms, 5 ms of repaid lateness, and
        # 1 ms for what leaves in one batch.
        depth = (stats["window_max_bytes"] - want / 8 * 0.05 - 2 * OUTER)
        report(Row(f"rate {name}, burst over 50 ms",
                   depth / (want / 8) * 1000, 7, "ms", less=True))


@row
def latency(report):
    """A sparse flow beside one saturating flow, at 0.97 of the lines."""
    with Lab([Line("50mbit", delay=10) for _ in range(2)]) as lab:
        lab.start(share=0.97)
        idle = measure.udp(lab.a, lab.b, rate=50, seconds=4)["delay_ms"]
        load = measure.Tcp(lab.a, lab.b, seconds=12, skip=0)
        time.sleep(2)
        busy = measure.udp(lab.a, lab.b, rate=50, seconds=8)["delay_ms"]
        load.result()
        queue = max(s["up"]["queue_mean_ms"] for s in lab.stats().values())
    for key, target in (("median", 5), ("p99", 15)):
        report(Row(f"sparse flow, {key} over idle median",
                   busy[key] - idle["median"], target, "ms", less=True))
    report(Row("operator's queue, mean", queue, 1, "ms", less=True))


@row
def priority(report):
    """Urgent packets on a full 1 Mbit/s line, where a packet lasts 12 ms."""
    with Lab([Line("1mbit", delay=10)]) as lab:
        lab.start(share=0.97)
        load = measure.Tcp(lab.a, lab.b, seconds=14, skip=0)
        time.sleep(3)
        flow = measure.Udp(lab.a, lab.b, rate=20, seconds=8, tos=0xB8)
        ping = measure.Ping(lab.a, "10.200.0.2", count=80, interval=0.1)
        marked, pings = flow.result()["delay_ms"], ping.result()
        load.stop()
    report(Row("EF beside a full 1 Mbit/s line, median", marked["median"] - 10,
               14, "ms", less=True))
    report(Row("EF beside a full 1 Mbit/s line, p99", marked["p99"] - 10, 30,
               "ms", less=True))
    report(Row("ping beside a full 1 Mbit/s line, mean", pings["avg"] - 20, 20,
               "ms", less=True))


@row
def failure(report):
    """A line dies and comes back under a flow; the time-out is 2 s."""
    with Lab([Line("20mbit", delay=10) for _ in range(2)]) as lab:
        client, server = lab.start(timeout=2)
        stream = measure.Stream(lab.a, lab.b, seconds=12)
        time.sleep(3)
        mark, start = client.mark(), time.monotonic()
        lab.lines[0].cut()
        when, _ = client.wait_log("link l1: down", 6, mark)
        report(Row("a dead line is noticed after", when - start, 2.5, "s",
                   less=True))
        time.sleep(2)
        mark, start = client.mark(), time.monotonic()
        lab.lines[0].heal()
        when, _ = client.wait_log("link l1: up", 6, mark)
        report(Row("a healed line is back after", when - start, 2, "s",
                   less=True))
        got = stream.result()
    report(Row("longest gap of the flow", got["gap_max_ms"] / 1000, 5, "s",
               less=True))


@row
def start(report):
    """Sixteen lines from the start of the client to the last link up."""
    with Lab([Line(delay=5) for _ in range(16)]) as lab:
        lab.daemon("b").start().wait_log("runs")
        time.sleep(0.5)
        client = lab.daemon("a")
        begin = time.monotonic()
        client.start()
        wait_for(lambda: len(client.up_links()) == 16, 10, "16 links",
                 poll=0.005)
        report(Row("16 lines are up after", time.monotonic() - begin, 1, "s",
                   less=True))


@row
def cpu(report):
    """Processor time of the sending and the receiving worker per Gbit."""
    with Lab([Line(delay=1)]) as lab:
        daemons = lab.start(share=None)
        before = [d.worker().cpu_seconds() for d in daemons]
        got = measure.tcp(lab.a, lab.b, seconds=6, skip=0)
        used = [d.worker().cpu_seconds() - b for d, b in zip(daemons, before)]
    for name, seconds in zip(("sender", "receiver"), used):
        report(Row(f"processor time per Gbit, {name}",
                   seconds / (got["bytes"] * 8 / 1e9), 5, "s", less=True,
                   note=f"at {got['mbps']:.0f} Mbit/s"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", help="JSON of all rows")
    parser.add_argument("row", nargs="*",
                        help=" ".join(r.__name__ for r in rows))
    args = parser.parse_args()
    done = []

    def report(line):
        done.append(line)
        print(line, flush=True)

    print(f"{'figure':<44} {'target':>10} {'measured':>9}")
    for function in rows:
        if not args.row or function.__name__ in args.row:
            function(report)
    missed = sum(not line.met() for line in done)
    print(f"{len(done) - missed} of {len(done)} targets met")
    if args.output:
        with open(args.output, "w") as f:
            json.dump([{**vars(line), "met": line.met()} for line in done], f,
                      indent=1)


main()
