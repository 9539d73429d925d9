"""What the tunnel costs: bytes beyond the packets, and processor time."""
import measure
from suite import row
from worlds import WORLDS, Wire

import dynamics
import trials

CPU = {"one line without a rate": ((Wire(0, 1),), None),
       "eq2": (WORLDS["eq2"], 1.0), "gig2": (WORLDS["gig2"], 1.0)}

AGAINST = "{}, both, against the other build"


def extra(future):
    got = future.result()
    return {"value": 100 * (got["outer"] - got["inner"]) / got["outer"],
            "note": f"{got['outer'] / 1e6:.1f} of {got['inner'] / 1e6:.1f} MB"}


@row
def overhead(current):
    """Reports, resends and probes; headers of 60 bytes do not count."""
    asked = [(name, current.job(
        sum(wire.mbit for wire in WORLDS[name]), dynamics.outer_and_inner,
        WORLDS[name])) for name in ("eq2", "uneq3", "dsl4", "loss1")]
    idle = current.job(1, dynamics.idle_bits, WORLDS["eq2"],
                       10 if current.plan.quick else 30)
    for name, future in asked:
        current.figure(f"{name}, bytes beyond packets and headers",
                       lambda: extra(future),
                       None if name == "loss1" else 2, "%", less=True)
    current.figure("eq2, idle, a line, both directions together", lambda: {
        "value": idle.result()["both"], "note":
        f"{idle.result()['one']:.0f} in the busier direction"}, 1000, "bit/s",
                   less=True)


def per_gbit(build, wires, share):
    """Processor seconds per Gbit of the sending and the receiving worker."""
    with trials.world(wires, share=share, build=build) as lab:
        before = [d.worker().cpu_seconds() for d in lab.daemons]
        got = measure.tcp(lab.a, lab.b, seconds=6, skip=0)
        return [(d.worker().cpu_seconds() - b) / (got["bytes"] * 8e-9)
                for d, b in zip(lab.daemons, before)] + [got["mbps"]]


def ratio(ours, theirs):
    mine, other = (sum(sum(run.result()[:2]) for run in runs) / len(runs)
                   for runs in (ours, theirs))
    return {"value": mine / other, "note": f"{mine:.2f} s, other {other:.2f}"}


@row
def cpu(current):
    """Processor time of the workers; with --against beside another build."""
    builds = [trials.BUILD]
    if current.suite.against:
        builds.append(current.suite.against)
    asked = {name: [[] for _ in builds] for name in CPU}
    for name, runs in asked.items():
        for _ in range(1 if len(builds) == 1 else 3):
            for n, build in enumerate(builds):  # in turn: machines change
                runs[n].append(
                    current.exclusive(per_gbit, build, *CPU[name]))
    for name, (ours, *others) in asked.items():
        for n, side in enumerate(("sender", "receiver")):
            current.figure(f"{name}, {side}, per Gbit", lambda: {
                "value": ours[0].result()[n],
                "note": f"at {ours[0].result()[2]:.0f} Mbit/s"}, 5, "s",
                less=True, ours=True)
        if not others:
            current.report(AGAINST.format(name), None, 1.3, "times", less=True,
                           not_run=True, note="--against BUILD")
        for theirs in others:
            current.figure(AGAINST.format(name),
                           lambda: ratio(ours, theirs), 1.3, "times",
                           less=True)
