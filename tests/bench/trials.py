"""Measurements: each makes a lab, sends what it is about, and gives what came
of it. They know nothing of targets."""
import contextlib
import time

import measure
from lab import BUILD, Lab
from worlds import ACK, MTU, TCP_PAYLOAD

TICK = 200  # us; rates and delays of these lines do not need more
EXACT = 50  # us, where milliseconds are judged
MPTCP = ("mptcpize", "run")


@contextlib.contextmanager
def world(wires, share=1.0, tick_us=TICK, start=True, build=BUILD, **general):
    """A lab with these lines and a running bond; the rates are configured as
    they are, as both count outer IP bytes."""
    with Lab([wire.line() for wire in wires], quiet=True, tick_us=tick_us,
             build=build) as lab:
        if start:
            lab.start(share=share, **general)
        yield lab


def set_kernel(host, **values):
    """Settings net.ipv4.* of one host."""
    host.shell("\n".join(f"echo {value} >/proc/sys/net/ipv4/{key}"
                         for key, value in values.items()))


def no_patience(*hosts):
    """Three duplicate acknowledgements are a loss, and nobody finds out later
    that it was none. Linux 6.17 ignores tcp_recovery=0, but counts to three as
    long as it has seen no reordering; without time stamps and DSACK, which the
    other end sends, it sees none."""
    for host in hosts:
        set_kernel(host, tcp_recovery=0, tcp_max_reordering=3, tcp_dsack=0,
                   tcp_timestamps=0)


def ends(lab, way):
    """(source, sink) of a direction."""
    return (lab.b, lab.a) if way == "down" else (lab.a, lab.b)


def goodput(wires, kind, plan):
    """Mbit/s of TCP payload through the tunnel, and what happened."""
    with world(wires) as lab:
        source, sink = ends(lab, kind.way)
        if kind.dupthresh:
            no_patience(source, sink)
        got = measure.tcp(source, sink, congestion=kind.congestion,
                          seconds=plan.seconds, skip=kind.late or plan.skip,
                          parallel=kind.parallel)
        return {"mbps": got["mbps"], "retransmits": got["retransmits"],
                **reordered(source)}


def reordered(source):
    """What the kernel of a sender took for reordering, and what it was told
    that had come twice."""
    found = measure.counters(source)
    return {"reordered": sum(found[f"TcpExtTCP{kind}Reorder"]
                             for kind in ("SACK", "Reno", "TS")),
            "came_twice": found["TcpExtTCPDSACKRecv"]}


def entered(lab):
    """The tunnel's counters at a, where what goes up enters, and at b."""
    return dict(zip(("up", "down"), (measure.counters(host)["mlvpn0"]
                                     for host in (lab.a, lab.b))))


def bare_mbps(before, after, seconds):
    """Mbit/s on the lines of the packets without data among those that entered
    a tunnel: all packets are full or bare."""
    packets = after["tx_packets"] - before["tx_packets"]
    octets = after["tx_bytes"] - before["tx_bytes"]
    return (packets * MTU - octets) / TCP_PAYLOAD * ACK * 8e-6 / seconds


def both_ways(wires, congestion, plan):
    """With both directions loaded at once: {"up": (Mbit/s, Mbit/s of the
    other direction's acknowledgements), "down": ...}."""
    with world(wires) as lab:
        flows = {way: measure.Tcp(*ends(lab, way), congestion=congestion,
                                  seconds=plan.seconds, skip=plan.skip)
                 for way in ("up", "down")}
        time.sleep(plan.skip)
        before = entered(lab)
        time.sleep(plan.seconds - 1)
        after = entered(lab)
        return {way: (flow.result()["mbps"], bare_mbps(
            before[way], after[way], plan.seconds - 1))
            for way, flow in flows.items()}


def announce(lab, sink):
    """Multipath TCP: what listens on the sink is found on every line."""
    side = "b" if sink is lab.b else "a"
    for host in (lab.a, lab.b):
        host.shell("echo 1 >/proc/sys/net/mptcp/enabled\n"
                   "ip mptcp limits set subflow 8 add_addr_accepted 8")
    for line in lab.lines[1:]:
        address = line.b4 if side == "b" else line.a4
        sink.shell(f"ip mptcp endpoint add {address} dev {line.ifname} signal")
    return lab.lines[0].b4 if side == "b" else lab.lines[0].a4


def mptcp(wires, kind, plan):
    """Mbit/s of TCP payload between the same hosts over the same lines with
    the kernel's multipath TCP and no tunnel."""
    with world(wires, start=False) as lab:
        source, sink = ends(lab, kind.way)
        if kind.dupthresh:
            no_patience(source, sink)
        got = measure.tcp(source, sink, to=announce(lab, sink),
                          congestion=kind.congestion, wrap=MPTCP,
                          seconds=plan.seconds, skip=kind.late or plan.skip,
                          parallel=kind.parallel)
        used = [stats[kind.way]["in_bytes"] for stats in lab.stats().values()]
        return {"mbps": got["mbps"],
                "lines": sum(n > 1e5 for n in used)}
