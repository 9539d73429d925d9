"""What flows feel while another one fills the bond: delay and order."""
from suite import row
from worlds import WORLDS, Kind

import dynamics


def delays(future, key, way):
    got = future.result()
    idle, busy = got["idle"], got["busy"]
    return {"value": busy[key] - idle["median"], "lost": got["lost"],
            "note": f"{busy[key]:.1f} ms, idle {idle['median']:.1f}"}


def idle_delay(future, wires):
    idle = future.result()["idle"]["median"]
    return {"value": idle - min(wire.delay for wire in wires),
            "note": f"{idle:.1f} ms"}


@row
def sparse(current):
    """50 packets a second beside one saturating flow."""
    quick, asked = current.plan.quick, []
    for name in ("eq2", "uneq3", "gig2", "updown"):
        for congestion in ("cubic",) if quick else ("cubic", "bbr"):
            for way in ("up", "down") if name == "updown" else ("up",):
                asked.append((name, congestion, way, current.exclusive(
                    dynamics.sparse, WORLDS[name], way, congestion,
                    5 if quick else 8, name == "updown")))
    for name, congestion, way, future in asked:
        what = f"{name}, beside {congestion.upper()}, {way}"
        if congestion == "cubic":
            current.figure(f"{name}, {way}, idle, over the fastest line",
                           lambda: idle_delay(future, WORLDS[name]), 1.5, "ms",
                           less=True)
        for key, target in (("median", 3), ("p99", 10)):
            current.figure(f"{what}, {key} over idle",
                           lambda: delays(future, key, way), target, "ms",
                           less=True)


def past_deadline(future):
    got = future.result()
    return {"value": got["reordered"] - got["late"],
            "note": f"{got['reordered']} of {got['received']} out of order, "
            f"{got['late']} past the deadline, {got['lost']} lost"}


def seen_by_tcp(future):
    got = future.result()
    return {"value": got["reordered"], "note":
            f"{got['came_twice']} segments came twice"}


@row
def order(current):
    """Packets that leave the tunnel behind later ones of their flow."""
    names = ("eq2", "uneq3", "dsl4", "loss1", "burst")
    asked = [(name, current.job(
        sum(wire.mbit for wire in WORLDS[name]), dynamics.paced, WORLDS[name]))
        for name in names]
    for name, future in asked:
        current.figure(f"{name}, UDP at 80 %, out of order before time is up",
                       lambda: past_deadline(future), 0, "", less=True)
    for name in ("eq2", "uneq3", "dsl4"):
        kind = Kind()
        future = current.goodput(WORLDS[name], kind)
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
