"""One flow through the bond, as a share of what the lines can carry."""
from figures import share_of
from suite import row, rows
from worlds import WORLDS, Kind, ceiling, ceiling_beside

import trials

CONGESTIONS = ("cubic", "bbr")

# Percent for each of them, and of what: the ceiling, or what other lines
# carried in this run.
TARGETS = {
    "eq2": (97, 96, None),
    "uneq3": (93, 87, None),
    "dsl4": (97, 97, None),
    "loss1": (95, 95, "eq2"),
    "loss5": (85, 85, "eq2"),
    "burst": (90, 90, None),
    "gig2": (93, 93, None),
}


def kinds(plan):
    return [Kind(congestion, way=way) for congestion in CONGESTIONS
            for way in plan.ways]


def of_full(future, full):
    got = future.result()
    return share_of(got["mbps"], full, retransmits=got.get("retransmits"))


def goodput(current):
    wires = WORLDS[current.name]
    cubic, bbr, of = TARGETS[current.name]
    target = {"cubic": cubic, "bbr": bbr}
    asked = [(kind, current.goodput(wires, kind),
              current.goodput(WORLDS[of], kind) if of else None)
             for kind in kinds(current.plan)]
    beside = [(c, current.mptcp(wires, Kind(c))) for c in CONGESTIONS
              if current.name in current.plan.mptcp]
    for kind, got, base in asked:
        current.figure(f"{kind}, of {of or 'the ceiling'}", lambda: of_full(
            got, base.result()["mbps"] if of else ceiling(wires, kind)),
            target[kind.congestion], "%", kind=kind._asdict())
    for congestion, got in beside:
        current.figure(
            f"kernel MPTCP, {congestion.upper()}, up, of the ceiling",
            lambda: of_full(got, ceiling(wires)), unit="%", mptcp=True,
            kind=Kind(congestion)._asdict())


for name in TARGETS:
    rows[name] = goodput


def of_beside(got, wires, way):
    mbps, acks = got
    return share_of(mbps, ceiling_beside(wires, way, acks),
                    f", ACKs {acks:.1f}", acks=acks)


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
