"""Lines that die, heal, or get slow under a flow."""
from suite import row
from worlds import WORLDS, Kind, Wire, ceiling

import dynamics

SLOW = (Wire(50, 10), Wire(50, 14))  # an idle sparse flow is on the first


def worst(futures, key, note=""):
    """The worst of some repeats, and all of them in the note."""
    values = [key(future.result()) for future in futures]
    return {"value": max(values), "note": note + " ".join(
        f"{value:.4g}" for value in values)}


def dip(futures):
    """The worst half second after healing, of what came before: at least of
    half of what the other lines carry."""
    shares = [100 * got["dip_mbps"] / max(got["before_mbps"],
                                          got["rest_mbps"] / 2)
              for got in (future.result() for future in futures)]
    return {"value": min(shares), "note": " ".join(
        f"{share:.4g}" for share in shares)}


def again(got):
    """Segments sent again, less what the tunnel's own queue dropped."""
    return max(0, got["lost"]["again"] - got["lost"]["dropped"])


@row
def blackhole(current):
    """The busiest line swallows everything; after 3 s it heals."""
    asked = []
    for name in ("eq2", "uneq3"):
        for congestion in ("cubic", "bbr"):
            asked.append((f"{name}, {congestion.upper()}", [
                current.exclusive(dynamics.black_hole, WORLDS[name],
                                  congestion)
                for _ in range(1 if current.plan.quick else 2)]))
    for name, futures in asked:
        current.figure(f"{name}: longest gap in delivery", lambda: worst(
            futures, lambda got: got["gap_ms"]), 150, "ms", less=True)
        current.figure(f"{name}: segments sent again within 1 s",
                       lambda: worst(futures, again), 0, "", less=True)
        current.figure(f"{name}: retransmission time-outs", lambda: worst(
            futures, lambda got: got["lost"]["timeouts"]), 0, "", less=True)
        current.figure(f"{name}: packets lost of 50 a second", lambda: worst(
            futures, lambda got: got["udp_lost"]), 3, "", less=True)
        current.figure(f"{name}: healed, used again after", lambda: worst(
            futures, lambda got: got["back_s"]), 2, "s", less=True)
        current.figure(f"{name}: healing, worst 0.5 s of the goodput before",
                       lambda: dip(futures), 90, "%")
    if "black hole" not in current.suite.series:
        current.suite.series["black hole"] = \
            asked[0][1][0].result()["picture"]


@row
def edge(current):
    """A line at 50 % loss must not flap."""
    future = current.job(100, dynamics.edge, WORLDS["eq2"])
    current.figure("eq2, 50 % loss for 15 s: ups and downs",
                   lambda: future.result()["changes"], 2, "", less=True)
    current.figure("eq2, 50 % loss, of the other line's ceiling", lambda: {
        "value": 100 * future.result()["mbps"] / ceiling(WORLDS["eq2"][1:]),
        "note": f"{future.result()['mbps']:.1f} Mbit/s"}, None, "%")


def of_others(future, wires):
    mbps, full = future.result()["mbps"], ceiling(wires, Kind())
    return {"value": 100 * mbps / full, "mbps": mbps,
            "note": f"{mbps:.1f} of {full:.1f} Mbit/s"}


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
        what = f"{name}, {congestion.upper()}"
        current.figure(f"{what}: of the other line's ceiling",
                       lambda: of_others(future, SLOW[1:]), 97, "%")
        if name != "no rate configured":
            current.figure(f"{what}: a sparse flow is slow for",
                           lambda: future.result()["slow_ms"], 200, "ms",
                           less=True)
