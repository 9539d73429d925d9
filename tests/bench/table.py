"""Renders what the benchmark has written: as text, or as reStructuredText for
doc/engine.rst.

usage: /usr/bin/python3 tests/bench/table.py [--rst] BENCH.json...

Several files are parts of one measurement: of other rows or environments, but
of the same commit."""
import json
import sys

from figures import HEAD, from_data, totals

FIRST = ("eq2", "uneq3", "dsl4", "loss1", "loss5", "burst", "gig2", "updown")
SENDERS = ((False, "normal"), (True, "3 duplicate ACKs"))


def list_table(title, head, rows, widths=None):
    """A list-table; cells are text."""
    out = [f".. list-table:: {title}", "   :header-rows: 1"]
    if widths:
        out.append("   :widths: " + " ".join(map(str, widths)))
    out.append("")
    for row in [head] + rows:
        for n, cell in enumerate(row):
            out.append(f"   {'*' if n == 0 else ' '} -{' ' if cell else ''}"
                       f"{cell}")
    return "\n".join(out) + "\n"


def measured(figure):
    """The value and its unit, bold where the target is missed."""
    if figure.not_run:
        return f"not measured: {figure.note}"
    unit = f" {figure.unit}" if figure.unit and figure.value is not None \
        else ""
    text = f"{figure.got()}{unit}"
    return f"**{text}**" if figure.met() is False else text


def goodput_table(figures):
    """The rows of one flow, with kernel MPTCP beside where it was run."""
    beside = {(f.row, f.more["kind"]["congestion"]): f for f in figures
              if f.more.get("mptcp") and f.row in FIRST}
    rows = []
    for figure in figures:
        if figure.row not in FIRST or figure.more.get("mptcp"):
            continue
        kind = figure.more.get("kind", {})
        other = beside.get((figure.row, kind.get("congestion"))) \
            if kind.get("way") == "up" else None
        rows.append([figure.row, figure.name, wanted(figure, " %"),
                     measured(figure), f"{figure.more.get('mbps', 0):.1f}",
                     f"{other.more['mbps']:.1f}" if other else ""])
    return list_table(
        "One flow", ["lines", "flow", "target", "measured", "Mbit/s",
                     "kernel MPTCP, Mbit/s"], rows, (9, 30, 9, 11, 9, 12))


def flow_name(kind):
    name = kind["congestion"].upper()
    if kind["parallel"] > 1:
        name = f"{kind['parallel']} {name}"
    return name + (f" after {kind['late']:g} s" if kind["late"] else "")


def wanted(figure, unit=""):
    """The target; a star may not open markup."""
    return (figure.wanted().replace("*", "") + unit +
            "\\*" * figure.ours) if figure.target is not None else ""


def environment_cell(found):
    """The worst direction of one flow in one environment, and the Mbit/s that
    it is made of."""
    if not found:
        return ""
    worst = min(found, key=lambda f: -1 if f.value is None else f.value)
    if worst.value is None:
        return measured(worst)
    full = worst.more.get("better_mbps") or worst.more.get("full", 0)
    return (f"{measured(worst).replace(' %', '')} "
            f"({worst.more['mbps']:.1f}/{full:.1f})")


def environment_table(figures, dupthresh, title):
    mine = [f for f in figures if f.row == "environments" and
            f.more.get("kind", {}).get("dupthresh") == dupthresh and
            not f.more.get("mptcp")]
    flows = list(dict.fromkeys(flow_name(f.more["kind"]) for f in mine))
    names = list(dict.fromkeys(f.more["environment"] for f in mine))
    # Further columns are of the few that promise the ceiling.
    limits = {flow_name(f.more["kind"]): wanted(f) for f in mine
              if f.more["of"] == "ceiling"}
    head = ["environment", "target"] + flows + [
        f"{flow}, of the ceiling, {limit}" for flow, limit in limits.items()]
    columns = [("better", flow) for flow in flows] + [
        ("ceiling", flow) for flow in limits]
    rows = []
    for name in names:
        here = [f for f in mine if f.more["environment"] == name]
        rows.append([name, wanted(here[0])] + [environment_cell(
            [f for f in here if f.more["of"] == of and
             flow_name(f.more["kind"]) == flow]) for of, flow in columns])
    return list_table(title, head, rows) if rows else ""


def environment_order_table(figures):
    rows = [[f.more["environment"], wanted(f), measured(f)] for f in figures
            if f.row == "environments" and f.more.get("of") == "order"]
    return list_table("Reordering seen by all normal senders together",
                      ["environment", "target", "measured"], rows) \
        if rows else ""


def environment_mptcp_table(figures):
    found = [f for f in figures
             if f.row == "environments" and f.more.get("mptcp")]
    rows = [[f.more["environment"], flow_name(f.more["kind"]), measured(f),
             "" if f.value is None else f"{f.more['mbps']:.1f}"]
            for f in found]
    return list_table("Kernel MPTCP", ["environment", "flow", "of the ceiling",
                                       "Mbit/s"], rows) if rows else ""


def other_table(figures):
    rows = [[f.row, f.name,
             wanted(f, f" {f.unit}" if f.unit else ""),
             measured(f)] for f in figures
            if f.row not in FIRST + ("environments",)]
    return list_table("Beside and around it", ["row", "figure", "target",
                                               "measured"], rows,
                      (12, 50, 14, 14)) if rows else ""


def as_rst(about, figures):
    other = f" beside {about['against']}" if about.get("against") else ""
    parts = [f"Commit {about['commit']}{other}, Linux {about['kernel']}, "
             f"{about['processors']} processors, "
             f"{about['minutes']} minutes; "
             + totals(figures).replace("*", "\\*") + ". Bold is missed.\n"]
    if any(f.row in FIRST for f in figures):
        parts.append(goodput_table(figures))
    for dupthresh, sender in SENDERS:
        parts.append(environment_table(
            figures, dupthresh, "The bond in percent of the better line "
            "alone, or of the ceiling (and Mbit/s of both); sender: "
            f"{sender}"))
    parts.append(environment_order_table(figures))
    parts.append(environment_mptcp_table(figures))
    parts.append(other_table(figures))
    return "\n".join(part for part in parts if part)


def read(paths):
    """(about, figures) of all the files."""
    parts = []
    for path in paths:
        with open(path) as f:
            parts.append(json.load(f))
    about = parts[0]["about"]
    for part in parts[1:]:
        if part["about"]["commit"] != about["commit"]:
            sys.exit("these are of different commits")
        about["minutes"] += part["about"]["minutes"]
    about["minutes"] = round(about["minutes"], 1)
    return about, [from_data(each) for part in parts
                   for each in part["figures"]]


def main():
    paths = [arg for arg in sys.argv[1:] if arg != "--rst"]
    if not paths:
        sys.exit(__doc__)
    about, figures = read(paths)
    if "--rst" in sys.argv:
        print(as_rst(about, figures), end="")
        return
    print(HEAD)
    for figure in figures:
        print(figure)
    print(totals(figures))


main()
