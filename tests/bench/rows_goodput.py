"""One flow through the bond, as a share of what the lines can carry."""
from suite import row
from worlds import WORLDS, Kind, ceiling, ceiling_beside

import trials

CONGESTIONS = ("cubic", "bbr")


def kinds(plan):
    return [Kind(congestion, way=way) for congestion in CONGESTIONS
            for way in plan.ways]


def of_full(got, full, **more):
    """A result of a goodput trial against so many Mbit/s."""
    mbps = got["mbps"]
    return {"value": 100 * mbps / full, "mbps": mbps, "full": full,
            "note": f"{mbps:.1f} of {full:.1f} Mbit/s",
            "retransmits": got.get("retransmits"), **more}


def share(current, target, of=None):
    """Reports goodput of the row's lines: in percent of the ceiling, or of
    what the lines `of` carried in this run. target: {congestion: percent}."""
    wires = WORLDS[current.name]
    asked = [(kind, current.goodput(wires, kind),
              current.goodput(WORLDS[of], kind) if of else None)
             for kind in kinds(current.plan)]
    beside = [(c, current.mptcp(wires, Kind(c))) for c in CONGESTIONS
              if current.name in current.plan.mptcp]
    for kind, got, base in asked:
        current.figure(f"{kind}, of {of or 'the ceiling'}", lambda: of_full(
            got.result(), base.result()["mbps"] if of
            else ceiling(wires, kind)), target[kind.congestion], "%",
            kind=kind._asdict())
    for congestion, got in beside:
        current.figure(
            f"kernel MPTCP, {congestion.upper()}, up, of the ceiling",
            lambda: of_full(got.result(), ceiling(wires)), unit="%",
            mptcp=True, kind=Kind(congestion)._asdict())


@row
def eq2(current):
    share(current, {"cubic": 97, "bbr": 96})


@row
def uneq3(current):
    share(current, {"cubic": 93, "bbr": 87})


@row
def dsl4(current):
    share(current, {"cubic": 97, "bbr": 97})


@row
def loss1(current):
    share(current, {"cubic": 95, "bbr": 95}, "eq2")


@row
def loss5(current):
    share(current, {"cubic": 85, "bbr": 85}, "eq2")


@row
def burst(current):
    share(current, {"cubic": 90, "bbr": 90})


@row
def gig2(current):
    share(current, {"cubic": 93, "bbr": 93})


def of_beside(got, wires, way):
    mbps, acks = got
    found = of_full({"mbps": mbps}, ceiling_beside(wires, way, acks),
                    acks=acks)
    return {**found, "note": f"{found['note']}, ACKs {acks:.1f}"}


@row
def updown(current):
    """Both directions at once."""
    wires = WORLDS["updown"]
    asked = [(c, current.job(145, trials.both_ways, wires, c, current.plan))
             for c in CONGESTIONS]
    for congestion, future in asked:
        for way in ("up", "down"):
            current.figure(
                f"{congestion.upper()}, {way}, of the ceiling less ACKs",
                lambda: of_beside(future.result()[way], wires, way), 90, "%")
