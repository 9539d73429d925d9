"""Lines that die, heal, or get slow under a flow."""
from suite import row
from worlds import WORLDS, Wire, ceiling

import dynamics

SLOW = (Wire(50, 10), Wire(50, 14))  # an idle sparse flow is on the first


def worst(futures, key):
    """The worst of some repeats, and all of them in the note."""
    values = [key(future.result()) for future in futures]
    return {"value": max(values), "note": " ".join(
        f"{value:.4g}" for value in values)}


def least(futures, key, full):
    """The least of some repeats in percent of what full() says, and all of
    them in Mbit/s."""
    got = [future.result() for future in futures]
    return {"value": min(100 * key(one) / full(one) for one in got),
            "note": ", ".join(f"{key(one):.1f} of {full(one):.1f} Mbit/s"
                              for one in got)}


def least_moment(futures, key, full):
    """The same of a worst half second, and when that began."""
    found = least(futures, lambda got: got[key][0], full)
    return {**found, "note": found["note"] + ", after " + ", ".join(
        f"{future.result()[key][1]:.2f} s" for future in futures)}


def rest(got):
    """What the other lines can carry."""
    return got["rest_mbps"]


def gaps(futures):
    """The longest gap of some repeats, and when each began."""
    found = [future.result()["gap"] for future in futures]
    return {"value": max(ms for ms, _ in found), "note": ", ".join(
        f"{ms:.0f} ms after {at:.2f} s" for ms, at in found)}


def again(futures):
    """Segments sent again; beside it what the tunnel's queue dropped."""
    found = worst(futures, lambda got: got["lost"]["again"])
    drops = " ".join(str(future.result()["lost"]["dropped"])
                     for future in futures)
    return {**found, "note": f"{found['note']}; the queue dropped {drops}"}


def report_black_hole(current, name, futures):
    def most(what, key, target, unit="", **options):
        current.figure(f"{name}: {what}", lambda: worst(futures, key), target,
                       unit, less=True, **options)

    current.figure(f"{name}: longest gap in delivery, until healed for 2 s",
                   lambda: gaps(futures), 150, "ms", less=True)
    current.figure(f"{name}: segments sent again, until healed for 2 s",
                   lambda: again(futures), 0, "", less=True)
    most("retransmission time-outs, until healed for 2 s",
         lambda got: got["lost"]["timeouts"], 0)
    most("packets lost of 50 a second", lambda got: got["udp_lost"], 3)
    current.figure(f"{name}: goodput while dead, of the other lines' ceiling",
                   lambda: least(futures, lambda got: got["dead_mbps"], rest),
                   90, "%", ours=True)
    most("healed, used again after", lambda got: got["back_s"], 2, "s")
    current.figure(
        f"{name}: healing, worst 0.5 s of the goodput before",
        lambda: least_moment(futures, "dip", lambda got: max(
            got["before_mbps"], rest(got))), 90, "%", ours=True)


@row
def blackhole(current):
    """The busiest line swallows everything; after 3 s it heals."""
    asked = []
    for name in ("eq2", "uneq3"):
        for congestion, ecn in (("cubic", False), ("cubic", True),
                                ("bbr", False)):
            kind = congestion.upper() + (" with ECN" if ecn else "")
            asked.append((f"{name}, {kind}", [
                current.exclusive(dynamics.black_hole, WORLDS[name],
                                  congestion, ecn)
                for _ in range(1 if current.plan.quick else 2)]))
    for name, futures in asked:
        report_black_hole(current, name, futures)
    if "black hole" not in current.suite.series:
        current.suite.series["black hole"] = \
            asked[0][1][0].result()["picture"]


def times_left(future):
    """Of the end that did so more often. Its return from a trial for silence
    is not in the log, so returns cannot be counted; each of them shows in the
    next trial, and so does a link that was down."""
    got = future.result()
    ends = [{"trials": trials, **logged}
            for trials, logged in zip(got["trials"], got["logged"])]
    return {"value": max(got["trials"]), "note": "; ".join(
        f"{name}: " + ", ".join(f"{n} {what}" for what, n in end.items())
        for name, end in zip(("client", "server"), ends))}


@row
def edge(current):
    """A line at 50 % loss must not flap."""
    asked = [(congestion.upper(), current.exclusive(
        dynamics.edge, WORLDS["eq2"], congestion))
        for congestion in ("cubic", "bbr")]
    for congestion, future in asked:
        what = f"eq2, 50 % loss for 15 s, {congestion}"
        current.figure(f"{what}: times put on trial",
                       lambda: times_left(future), 2, "", less=True, ours=True)
        current.figure(
            f"{what}: of the other line's ceiling", lambda: least(
                [future], lambda got: got["mbps"], rest), 90, "%", ours=True)
        current.figure(
            f"{what}: worst 0.5 s of it", lambda: least_moment(
                [future], "lowest", rest), 90, "%", ours=True)
        current.figure(f"{what}: packets lost of 50 a second",
                       lambda: future.result()["sparse_lost"], less=True)


def over_fastest(future, key):
    """Delay of the sparse flow."""
    delay = future.result()["delay_ms"][key]
    return {"value": delay - SLOW[0].delay, "note": f"{delay:.1f} ms"}


def report_slow(current, what, future, changed):
    def other(got):
        return ceiling(SLOW[1:])

    current.figure(f"{what}: of the other line's ceiling", lambda: least(
        [future], lambda got: got["mbps"], other), 97, "%")
    if changed:
        current.figure(f"{what}: the first second of it", lambda: least(
            [future], lambda got: got["first_mbps"], other), 90, "%",
            ours=True)
    current.figure(f"{what}: longest gap in delivery",
                   lambda: gaps([future]), 150, "ms", less=True, ours=True)
    if changed:
        current.figure(f"{what}: a sparse flow is slow for",
                       lambda: future.result()["slow_ms"], 200, "ms",
                       less=True)
    else:
        for key in ("median", "p99"):
            current.figure(f"{what}: a sparse flow's {key} over the faster",
                           lambda: over_fastest(future, key), unit="ms",
                           less=True)
    current.figure(f"{what}: packets lost of 50 a second",
                   lambda: future.result()["sparse_lost"], 3, "", less=True,
                   ours=True)


@row
def slow(current):
    """A line gets slow, or nobody said how fast it is."""
    cases = {"delay + 200 ms": {"delay": 210}, "half the rate":
             {"rate": "25mbit"}, "no rate configured": {"share": None}}
    congestions = ("cubic",) if current.plan.quick else ("cubic", "bbr")
    asked = [(name, congestion, current.exclusive(
        dynamics.slowed, SLOW, congestion, **case))
        for name, case in cases.items() for congestion in congestions]
    for name, congestion, future in asked:
        report_slow(current, f"{name}, {congestion.upper()}", future,
                    name != "no rate configured")
