"""Draws goodput and delay over time from what the benchmark has written.

usage: /usr/bin/python3 tests/bench/plot.py BENCH.json [DIRECTORY]

Makes bench-uneq3.svg and bench-blackhole.svg in the directory (default: doc);
needs tests/deps.sh bench. The rows `picture` and `blackhole` have the data."""
import json
import os
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "mlvpn", "font.size": 9,
    "font.family": "sans-serif", "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3})

from matplotlib import pyplot  # noqa: E402

BLUE, ORANGE, GREEN, GREY = "#0b62a4", "#d95f02", "#1b7837", "#666666"


def panels(title):
    """Two panels with one axis of time."""
    figure, (above, below) = pyplot.subplots(
        2, 1, sharex=True, figsize=(7.2, 4.6), layout="constrained",
        height_ratios=(3, 2))
    above.set_title(title, loc="left", fontsize=10)
    above.set_ylabel("goodput, Mbit/s")
    below.set_ylabel("delay, ms")
    below.set_xlabel("seconds")
    return figure, above, below


def line(axes, points, linewidth=1.2, **style):
    axes.plot([p[0] for p in points], [round(p[1], 1) for p in points],
              linewidth=linewidth, **style)


def thin(points, step=0.1):
    """The largest value of each step, so that no peak goes missing."""
    best = {}
    for at, value in points:
        slot = round(at / step)
        best[slot] = max(best.get(slot, 0), value)
    return [(slot * step, value) for slot, value in sorted(best.items())]


def broken(points, longest):
    """With a break in the line where more than so many seconds are missing."""
    found = []
    for at, value in points:
        if found and at - found[-1][0] > longest:
            found.append((at, float("nan")))
        found.append((at, value))
    return found


def save(figure, above, below, path):
    above.set_ylim(bottom=0)
    above.legend(loc="lower right", frameon=False)
    below.legend(loc="upper left", frameon=False, ncols=2, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    print(path)


def unequal(series, path):
    """mlvpn beside the kernel's multipath TCP from the start of a flow."""
    figure, above, below = panels(
        "One CUBIC flow over 100 Mbit/s, 5 ms + 20 Mbit/s, 20 ms + "
        "5 Mbit/s, 50 ms")
    below.set_yscale("log")
    for name, colour in (("kernel MPTCP", ORANGE), ("mlvpn", BLUE)):
        if name not in series:
            continue
        line(above, series[name]["goodput"], color=colour, label=name)
        line(below, thin(series[name]["sparse"]), color=colour,
             label=f"50 packets/s, one way, beside {name}")
        line(below, thin(series[name]["ping"]), linewidth=0.6, color=colour,
             linestyle="--", label="ping, both ways")
    above.axhline(125 * 1388 / 1500, color=GREY, linestyle=":", linewidth=1)
    above.annotate("what the lines carry", (-0.4, 125 * 1388 / 1500),
                   textcoords="offset points", xytext=(0, 3), color=GREY)
    below.set_ylim(3, 2000)
    save(figure, above, below, path)


def black_hole(series, path):
    figure, above, below = panels(
        "One of two lines of 50 Mbit/s, 10 ms, drops everything, then heals")
    line(above, series["goodput"], color=BLUE, label="one CUBIC flow")
    line(below, broken(series["ping"], 0.1), color=ORANGE,
         label="ping, both ways")
    line(below, broken(series["sparse"], 0.05), color=GREEN,
         label="50 packets/s, one way")
    for at, what in zip(series["marks"], ("dead", "healed")):
        for axes in (above, below):
            axes.axvline(at, color=GREY, linestyle="--", linewidth=1)
        above.annotate(what, (at, 1), xycoords=("data", "axes fraction"),
                       textcoords="offset points", xytext=(3, -10),
                       color=GREY)
    above.set_xlim(1.5, series["marks"][-1] + 4.5)
    top = max([ms for _, ms in series["ping"] + series["sparse"]] + [10])
    below.set_ylim(0, 1.4 * top)
    save(figure, above, below, path)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        series = json.load(f)["series"]
    directory = sys.argv[2] if len(sys.argv) == 3 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "../../doc")
    for name, draw in (("uneq3", unequal), ("black hole", black_hole)):
        if name in series:
            file = f"bench-{name.replace(' ', '')}.svg"
            draw(series[name], os.path.join(directory, file))


main()
