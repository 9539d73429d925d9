"""The lines that the benchmark knows: their rates, delays and accidents, what
they can carry, and the flows that are sent over them."""
from typing import NamedTuple

from lab import Line

OUTER, MTU = 1500, 1440  # bytes, IPv4 outside
TCP_PAYLOAD = MTU - 20 - 32  # with time stamps
ACK = 20 + 32 + OUTER - MTU  # outer bytes of an acknowledgement


class Wire(NamedTuple):
    """One line, both directions alike; rates in Mbit/s, times in ms."""
    mbit: float
    delay: float
    jitter: float = 0
    loss: float = 0  # %
    burst: float = 1  # packets that are lost together, on average
    down: float = 0  # Mbit/s towards the client, where that is another rate

    def line(self):
        return Line(f"{self.mbit:g}mbit", delay=self.delay,
                    jitter=self.jitter, loss=self.loss, burst=self.burst,
                    down={"rate": f"{self.down or self.mbit:g}mbit"})

    def rate(self, way="up"):
        return self.down if way == "down" and self.down else self.mbit

    def clean(self):
        return not self.jitter and not self.loss

    def dominates(self, other):
        """Whether this line is at least as good in every respect."""
        return self.mbit >= other.mbit and self.delay <= other.delay and \
            self.jitter <= other.jitter and self.loss <= other.loss


class Kind(NamedTuple):
    """What is sent. way: up is from a to b. dupthresh: the sender takes three
    duplicate acknowledgements for a loss, see trials.no_patience()."""
    congestion: str = "cubic"
    parallel: int = 1
    way: str = "up"
    late: float = 0  # what counts begins after so many seconds, 0: as usual
    dupthresh: bool = False

    def __str__(self):
        return (f"{f'{self.parallel} ' if self.parallel > 1 else ''}"
                f"{self.congestion.upper()}"
                f"{f' after {self.late:g} s' if self.late else ''}"
                f"{', 3 dup ACKs' if self.dupthresh else ''}, {self.way}")


def environment(*lines):
    """Lines as published: delay/rate[/jitter[/loss]]."""
    wires = []
    for text in lines:
        delay, mbit, jitter, loss = (
            [float(part or 0) for part in text.split("/")] + [0, 0])[:4]
        wires.append(Wire(mbit, delay, jitter, loss))
    return tuple(wires)


WORLDS = {
    "eq2": (Wire(50, 10),) * 2,
    "uneq3": (Wire(100, 5), Wire(20, 20), Wire(5, 50)),
    "dsl4": (Wire(20, 15, jitter=3),) * 4,
    "loss1": (Wire(50, 10, loss=1),) * 2,
    "loss5": (Wire(50, 10, loss=5),) * 2,
    "burst": (Wire(50, 10, loss=1, burst=8), Wire(50, 10)),
    "gig2": (Wire(500, 5), Wire(300, 8)),
    "updown": (Wire(10, 10, down=100), Wire(5, 30, down=30)),
}

# Published for a multipath-QUIC tunnel; the last one is ours: where the fat
# line is the far one.
ENVIRONMENTS = {
    "baseline": environment("20/50", "20/50"),
    "rtt_40": environment("20/50", "40/50"),
    "rtt_70": environment("20/50", "70/50"),
    "rtt_120": environment("20/50", "120/50"),
    "rtt_320": environment("20/50", "320/50"),
    "jit_5": environment("20/50/5", "20/50/5"),
    "jit_20": environment("20/50/20", "20/50/20"),
    "loss_05": environment("20/50//0.5", "20/50//0.5"),
    "loss_2": environment("20/50//2", "20/50//2"),
    "bw_4to1": environment("20/50", "20/12"),
    "bw_10to1": environment("20/100", "20/10"),
    "dual_lte": environment("30/40/5/0.5", "45/25/8/0.5"),
    "fiber_lte": environment("8/300", "40/30/8/0.5"),
    "lte_starlink": environment("35/40/8", "50/100/25/1"),
    "lte_geo": environment("35/40", "320/20/20/0.5"),
    "congested": environment("50/20/20/2", "60/15/25/2"),
    "dsl_geo": environment("20/5", "320/50"),
}


def total(wires, way="up"):
    """Mbit/s of outer IP bytes."""
    return sum(wire.rate(way) for wire in wires)


def ceiling(wires, kind=Kind()):
    """Mbit/s of TCP payload that the lines can carry."""
    payload = TCP_PAYLOAD + (12 if kind.dupthresh else 0)  # no time stamps
    return total(wires, kind.way) * payload / OUTER


def ceiling_beside(wires, way, acks):
    """The same less what the other direction's acknowledgements take."""
    return (total(wires, way) - acks) * TCP_PAYLOAD / OUTER


def better(wires):
    """The lines of which none is worse in every respect than another: those
    that could be the better one alone. Of equal ones the first."""
    return [wire for n, wire in enumerate(wires) if not any(
        other.dominates(wire) and (other != wire or m < n)
        for m, other in enumerate(wires) if m != n)]
