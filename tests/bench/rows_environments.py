"""The environments published for a multipath-QUIC tunnel: the bond against the
better of its lines alone, both through mlvpn and in the same run."""
from figures import share_of
from suite import row
from worlds import ENVIRONMENTS, Kind, better, ceiling

NEVER_BELOW = 97


def cubic_late(plan):
    return Kind(late=plan.late)


def varying(name):
    """Whether a delay varies: there BBR's first ten seconds are ruled by the
    handshake's round trip, which says little."""
    return any(wire.jitter for wire in ENVIRONMENTS[name])


def flows(plan):
    """Each kind of flow with both senders; unless both directions are asked
    for, each sender has one of them."""
    found = []
    for flow in (cubic_late(plan),) if plan.quick else (
            cubic_late(plan), Kind("bbr"), Kind(parallel=4)):
        for dupthresh in (False, True):
            ways = ("up", "down") if plan.both else \
                ("down",) if dupthresh and len(plan.ways) > 1 else ("up",)
            found += [flow._replace(dupthresh=dupthresh, way=way)
                      for way in ways]
    return found


def similar(wires):
    """The slow round trip is under twice the fast one."""
    delays = [wire.delay for wire in wires]
    return max(delays) < 2 * min(delays)


def target(wires):
    """Percent of the better line: never below it; clearly above it, by half of
    what the other line has to give, where the round trips are similar."""
    if not similar(wires):
        return NEVER_BELOW
    best = max(better(wires), key=lambda wire: wire.mbit).mbit
    return 100 + 50 * (sum(wire.mbit for wire in wires) - best) / best


def beside_alone(bond, alone):
    mbps = bond.result()["mbps"]
    best = max(future.result()["mbps"] for future in alone)
    return {"value": 100 * mbps / best, "mbps": mbps, "better_mbps": best,
            "note": f"{mbps:.1f} beside {best:.1f} Mbit/s",
            "retransmits": bond.result()["retransmits"]}


def of_ceiling(bond, wires, kind):
    return share_of(bond.result()["mbps"], ceiling(wires, kind))


def judge(current, name, kind, bond, alone):
    wires = ENVIRONMENTS[name]
    current.figure(f"{name}: {kind}, of the better line",
                   lambda: beside_alone(bond, alone), target(wires), "%",
                   ours=target(wires) != NEVER_BELOW, environment=name, kind=kind._asdict(), of="better")
    if all(wire.clean() for wire in wires) and similar(wires):
        current.figure(f"{name}: {kind}, of the ceiling",
                       lambda: of_ceiling(bond, wires, kind), 85, "%",
                       environment=name, kind=kind._asdict(), of="ceiling")


def ask(current, name, kind):
    wires = ENVIRONMENTS[name]
    return (name, kind, current.goodput(wires, kind),
            [current.goodput((wire,), kind) for wire in better(wires)])


def report_order(current, name, asked):
    """What all normal senders took for reordering."""
    found = [(kind, bond) for where, kind, bond, _ in asked
             if where == name and not kind.dupthresh]

    def seen():
        values = [bond.result()["reordered"] for _, bond in found]
        return {"value": sum(values), "note": ", ".join(
            f"{value} {kind}" for value, (kind, _) in zip(values, found))}

    current.figure(f"{name}: reordering seen by the senders", seen, 0, "",
                   less=True, environment=name, of="order")


@row
def environments(current):
    names = current.plan.only or ENVIRONMENTS
    asked = [ask(current, name, kind)
             for kind in flows(current.plan) for name in names]
    if not current.plan.quick:
        asked += [ask(current, name, Kind("bbr", late=current.plan.late))
                  for name in names if varying(name)]
    beside = [(name, kind, current.mptcp(ENVIRONMENTS[name], kind))
              for name in names if name in current.plan.mptcp
              for kind in (cubic_late(current.plan),)]
    for one in asked:
        judge(current, *one)
    for name in names:
        if not any(wire.loss for wire in ENVIRONMENTS[name]):
            report_order(current, name, asked)
    for name, kind, future in beside:
        current.figure(f"{name}: kernel MPTCP, {kind}, of the ceiling",
                       lambda: of_ceiling(future, ENVIRONMENTS[name], kind),
                       unit="%", environment=name, kind=kind._asdict(),
                       mptcp=True)
