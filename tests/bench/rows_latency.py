"""What flows feel while another one fills the bond: delay and order."""
from figures import share_of
from rows_goodput import TARGETS, kinds
from suite import row
from worlds import WORLDS, ceiling_beside, total

import dynamics

LOAD = 90  # percent of the ceiling, or of the row's own target below that


def delays(future, key):
    got = future.result()
    idle, busy = got["idle"], got["busy"]
    return {"value": busy[key] - idle["median"],
            "note": f"{busy[key]:.1f} ms, idle {idle['median']:.1f}"}


def idle_delay(future, wires):
    idle = future.result()["idle"]["median"]
    return {"value": idle - min(wire.delay for wire in wires),
            "note": f"{idle:.1f} ms"}


def load(future, wires):
    """Of the loaded directions the one with the lower share."""
    return min((share_of(mbps, ceiling_beside(wires, way, bare), f", {way}")
                for way, (mbps, bare) in future.result()["loads"].items()),
               key=lambda found: found["value"])


def load_target(name, congestion):
    cubic, bbr, _ = TARGETS.get(name, (LOAD, LOAD, None))
    return min(LOAD, bbr if congestion == "bbr" else cubic)


def ask_sparse(current):
    """[(lines, congestion, direction, future)]"""
    seconds, asked = 5 if current.plan.quick else 8, []
    for name in ("eq2", "uneq3", "gig2", "updown"):
        for congestion in ("cubic",) if current.plan.quick else (
                "cubic", "bbr"):
            ways = ("up", "down") if name == "updown" or \
                congestion == "cubic" and not current.plan.quick else ("up",)
            asked += [(name, congestion, way, current.exclusive(
                dynamics.sparse, WORLDS[name], way, congestion, seconds,
                name == "updown")) for way in ways]
    return asked


@row
def sparse(current):
    """50 packets a second beside one saturating flow."""
    for name, congestion, way, future in ask_sparse(current):
        what = f"{name}, beside {congestion.upper()}, {way}"
        if congestion == "cubic":
            current.figure(f"{name}, {way}, idle, over the fastest line",
                           lambda: idle_delay(future, WORLDS[name]), 1.5, "ms",
                           less=True, ours=True)
        for key, target in (("median", 3), ("p99", 10)):
            current.figure(f"{what}, {key} over idle",
                           lambda: delays(future, key), target, "ms",
                           less=True)
        current.figure(f"{what}, lost", lambda: future.result()["lost"], 0,
                       less=True, ours=True)
        current.figure(f"{what}, the load, of the ceiling",
                       lambda: load(future, WORLDS[name]),
                       load_target(name, congestion), "%", ours=True)


def udp_order(future, lossless):
    """Without loss nothing may be late, with it what is past its deadline."""
    got = future.result()
    return {"value": got["reordered"] if lossless
            else max(0, got["reordered"] - got["late"]),
            "note": f"{got['reordered']} of {got['received']} out of order, "
            f"{got['late']} late, {got['deadlines']} deadlines, "
            f"{got['lost']} lost"}


def seen_by_tcp(future):
    got = future.result()
    return {"value": got["reordered"], "note":
            f"{got['came_twice']} segments came twice, "
            f"{got['retransmits']} sent again"}


def loses(name):
    return any(wire.loss for wire in WORLDS[name])


@row
def order(current):
    """Packets that leave the tunnel behind later ones of their flow."""
    names = ("eq2", "uneq3", "dsl4", "loss1", "loss5", "burst")
    asked = [(name, current.job(total(WORLDS[name]), dynamics.paced,
                                WORLDS[name])) for name in names]
    tcp = [(name, kind, current.goodput(WORLDS[name], kind))
           for name in TARGETS if not loses(name)
           for kind in kinds(current.plan)]
    for name, future in asked:
        current.figure(f"{name}, UDP at 80 %, out of order" +
                       (", but past the deadline" if loses(name) else ""),
                       lambda: udp_order(future, not loses(name)), 0, "",
                       less=True)
    for name, kind, future in tcp:
        current.figure(f"{name}, {kind}: reordering seen by the sender",
                       lambda: seen_by_tcp(future), 0, "", less=True)


@row
def picture(current):
    """uneq3 from the start of a flow, for plot.py, and what a sparse flow has
    beside kernel MPTCP on the fastest line."""
    asked = {name: current.job(125, dynamics.from_start, WORLDS["uneq3"],
                               tunnel=tunnel)
             for name, tunnel in (("mlvpn", True), ("kernel MPTCP", False))
             if tunnel or current.plan.mptcp}
    for name, future in asked.items():
        for key in ("median", "p99"):
            current.figure(f"uneq3, {name}, CUBIC: sparse flow's {key} delay",
                           lambda: future.result()[f"{key}_ms"], unit="ms",
                           less=True)
    current.suite.series["uneq3"] = {
        name: future.result() for name, future in asked.items()}
