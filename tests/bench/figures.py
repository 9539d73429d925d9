"""Figures: what was measured, beside what it should be, as lines of text, as
data, and as tables for the documentation."""
import csv
import json
import os


class Figure:
    """One figure: its row, its name, the value and the target, and whether
    more or less is better. Without a target it is there to compare with.
    ours: the target is one of our own, not what the engine was asked for.
    Without a value it could not be measured, or was not (not_run); the note
    says why."""

    def __init__(self, row, name, value, target=None, unit="", less=False,
                 note="", ours=False, not_run=False, **more):
        self.row, self.name, self.value, self.target = row, name, value, target
        self.unit, self.less, self.note, self.more = unit, less, note, more
        self.ours, self.not_run = ours, not_run

    def met(self):
        """True, False, or None where nothing was promised or measured."""
        if self.target is None or self.not_run:
            return None
        if self.value is None:
            return False
        return self.value <= self.target if self.less else \
            self.value >= self.target

    def failed(self):
        return self.value is None and not self.not_run

    def verdict(self):
        if self.not_run:
            return "NOT RUN"
        return {True: "met", False: "MISSED", None: ""}[self.met()]

    def wanted(self):
        if self.target is None:
            return ""
        return f"{'<=' if self.less else '>='} {self.target:.4g}" + "*" * self.ours

    def got(self):
        return "-" if self.value is None else f"{self.value:.4g}"

    def __str__(self):
        return (f"{self.row:<13} {self.name:<66} {self.wanted():>9} "
                f"{self.got():>8} {self.unit:<6} {self.verdict():<7} "
                f"{self.note}").rstrip()

    def data(self):
        return {"row": self.row, "figure": self.name, "target": self.target,
                "ours": self.ours, "less_is_better": self.less, "measured": self.value,
                "unit": self.unit, "met": self.met(), "not_run": self.not_run,
                "note": self.note, **self.more}


def share_of(mbps, full, note="", **more):
    """The value of a figure: Mbit/s in percent of so many others."""
    return {"value": 100 * mbps / full, "mbps": mbps, "full": full,
            "note": f"{mbps:.1f} of {full:.1f} Mbit/s{note}", **more}


HEAD = (f"{'row':<13} {'figure':<66} {'target':>9} {'measured':>8} "
        f"{'unit':<6} verdict")


def from_data(data):
    """The figure that data() wrote."""
    known = ("row", "figure", "target", "less_is_better", "measured", "unit",
             "met", "note", "ours", "not_run")
    return Figure(data["row"], data["figure"], data["measured"],
                  data["target"], data["unit"], data["less_is_better"],
                  data["note"], data.get("ours", False),
                  data.get("not_run", False),
                  **{k: v for k, v in data.items() if k not in known})


def totals(figures):
    judged = [f.met() for f in figures if f.met() is not None]
    own = sum(f.ours for f in figures if f.met() is not None)
    left = sum(f.not_run for f in figures)
    return (f"{sum(judged)} of {len(judged)} targets met" +
            (f" ({own} marked * are our own)" if own else "") +
            (f", {left} not measured" if left else ""))


def write(path, about, figures, series):
    """JSON with everything, or CSV with the figures, by the path's end."""
    with open(path + ".new", "w", newline="") as f:
        if path.endswith(".csv"):
            out = csv.DictWriter(
                f, list(Figure("", "", 0).data()), extrasaction="ignore")
            out.writeheader()
            out.writerows(figure.data() for figure in figures)
        else:
            json.dump({"about": about, "figures": [x.data() for x in figures],
                       "series": series}, f, indent=1)
            f.write("\n")
    os.replace(path + ".new", path)
