"""What any bond has to do: shares, rates, priorities, start and failure."""
import time

import measure
from lab import Lab, Line, bits, wait_for
from suite import row
from worlds import OUTER, TCP_PAYLOAD, Kind, Wire

SIZE = 1300  # bytes of a packet that fills a line

@row
def unequal(current):
    """Lines of different rate and delay, one flow."""
    asked = []
    for name, rates, delays in (
            ("20/10 ms + 10/12 ms + 5/15 ms", (20, 10, 5), (10, 12, 15)),
            ("50/20 ms + 50/70 ms", (50, 50), (20, 70))):
        wires = tuple(Wire(*pair) for pair in zip(rates, delays))
        asked.append((name, sum(rates),
                      current.goodput(wires, Kind())))
    for name, rate, future in asked:
        full = rate * TCP_PAYLOAD / OUTER
        mbps = future.result()["mbps"]
        current.report(f"{name}, of the ceiling", 100 * mbps / full, 93, "%",
                       note=f"{mbps:.1f} of {full:.1f} Mbit/s")

def shared(parts):
    """How far the worst line is from its part of the bytes, in percent."""
    unit = 100 / sum(parts)
    with Lab([Line(f"{p * unit}mbit", delay=10) for p in parts],
             quiet=True) as lab:
        lab.start(share=1.0)
        load = measure.Tcp(lab.a, lab.b, seconds=7, skip=0)
        time.sleep(2)
        got = measure.line_rates(lab, 4)
        load.result()
    return max(100 * abs(got[n + 1] / sum(got.values()) * sum(parts) / p - 1)
               for n, p in enumerate(parts))

@row
def shares(current):
    """Bytes of each line against its part of the rates."""
    asked = [(parts, current.job(100, shared, parts))
             for parts in ((2, 3), (7, 3), (1, 2, 3))]
    for parts, future in asked:
        current.report(f"{':'.join(map(str, parts))}, worst line off by",
                       future.result(), 2, "%", less=True)

def flooded(rate, seconds=3):
    """The line's counters while more enters the tunnel than fits. Nobody
    receives: two cores are not enough for a sender and a receiver of 1 Gbit/s
    and the line between them, nor for a sender that has to wait."""
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
def rate(current):
    """A loaded line runs at its rate and never far above it."""
    for name in ("256kbit", "2mbit", "50mbit", "300mbit", "1gbit"):
        stats, want = current.alone(flooded, name), bits(name)
        got = stats["in_bytes"] * 8 / stats["seconds"]
        off = max(0, abs(got - want) * stats["seconds"] / 8 - OUTER)
        current.report(f"{name}, off by",
                       100 * off * 8 / stats["seconds"] / want, 1, "%",
                       less=True)
        # The pacer's depth: a packet, 1 ms, 5 ms of repaid lateness, and
        # 1 ms for what leaves in one batch.
        depth = stats["window_max_bytes"] - want / 8 * 0.05 - 2 * OUTER
        current.report(f"{name}, burst over 50 ms", depth / (want / 8) * 1000,
                       7, "ms", less=True)

def sparse_at_97():
    """A sparse flow idle and beside one saturating flow, and the operator's
    queue meanwhile."""
    with Lab([Line("50mbit", delay=10) for _ in range(2)], quiet=True) as lab:
        lab.start(share=0.97)
        idle = measure.udp(lab.a, lab.b, rate=50, seconds=4)["delay_ms"]
        load = measure.Tcp(lab.a, lab.b, seconds=12, skip=0)
        time.sleep(2)
        busy = measure.udp(lab.a, lab.b, rate=50, seconds=8)["delay_ms"]
        load.result()
        return idle, busy, max(s["up"]["queue_mean_ms"]
                               for s in lab.stats().values())

@row
def latency(current):
    """At 0.97 of the lines, as the manual recommends."""
    idle, busy, queue = current.alone(sparse_at_97)
    for key, target in (("median", 5), ("p99", 15)):
        current.report(f"sparse flow, {key} over idle median",
                       busy[key] - idle["median"], target, "ms", less=True)
    current.report("operator's queue, mean", queue, 1, "ms", less=True)

def urgent():
    """Delays of a marked flow and of pings beside a full line."""
    with Lab([Line("1mbit", delay=10)], quiet=True) as lab:
        lab.start(share=0.97)
        load = measure.Tcp(lab.a, lab.b, seconds=14, skip=0)
        time.sleep(3)
        flow = measure.Udp(lab.a, lab.b, rate=20, seconds=8, tos=0xB8)
        ping = measure.Ping(lab.a, "10.200.0.2", count=80, interval=0.1)
        marked, pings = flow.result()["delay_ms"], ping.result()
        load.stop()
        return marked, pings

@row
def priority(current):
    """Urgent packets on a full 1 Mbit/s line, where a packet lasts 12 ms."""
    marked, pings = current.job(50, urgent).result()
    current.report("EF beside a full 1 Mbit/s line, median",
                   marked["median"] - 10, 14, "ms", less=True)
    current.report("EF beside a full 1 Mbit/s line, p99", marked["p99"] - 10,
                   30, "ms", less=True)
    current.report("ping beside a full 1 Mbit/s line, mean",
                   pings["avg"] - 20, 20, "ms", less=True)

def cut_and_healed():
    """Seconds until a cut is in the log, until the return is, and the longest
    gap of a TCP flow meanwhile."""
    with Lab([Line("20mbit", delay=10) for _ in range(2)], quiet=True) as lab:
        client, _ = lab.start(timeout=2)
        stream = measure.Stream(lab.a, lab.b, seconds=12)
        time.sleep(3)
        mark, cut = client.mark(), time.monotonic()
        lab.lines[0].cut()
        down = client.wait_log("link l1: down", 6, mark)[0] - cut
        time.sleep(2)
        mark, heal = client.mark(), time.monotonic()
        lab.lines[0].heal()
        up = client.wait_log("link l1: up", 6, mark)[0] - heal
        return down, up, stream.result()["gap_max_ms"] / 1000

@row
def failure(current):
    """A line dies and comes back under a flow; the time-out is 2 s."""
    down, up, gap = current.job(100, cut_and_healed).result()
    current.report("a dead line is in the log after", down, 2.5, "s",
                   less=True)
    current.report("a healed line is in the log after", up, 2, "s", less=True)
    current.report("longest gap of the flow", gap, 5, "s", less=True)

def sixteen():
    """Seconds from the start of the client to the last of 16 links."""
    with Lab([Line(delay=5) for _ in range(16)], quiet=True) as lab:
        lab.daemon("b").start().wait_log("runs")
        time.sleep(0.5)
        client = lab.daemon("a")
        begin = time.monotonic()
        client.start()
        wait_for(lambda: len(client.up_links()) == 16, 10, "16 links",
                 poll=0.005)
        return time.monotonic() - begin

@row
def start(current):
    current.report("16 lines are up after", current.alone(sixteen), 1, "s",
                   less=True)
