"""What the rows of the benchmark have in common: the list of them, how long
to measure, and jobs of which each is done once in a run."""
import sys
import threading
import traceback
from typing import NamedTuple

import trials
from figures import Figure
from worlds import total

rows = {}  # name: function, in the order in which they are printed


def row(function):
    """Adds a row: a function that takes its Row and reports figures."""
    rows[function.__name__] = function
    return function


class Plan(NamedTuple):
    """Seconds of a measurement, and how much is measured."""
    seconds: float = 10
    skip: float = 4  # before it counts
    late: float = 30  # the same for CUBIC, late
    ways: tuple = ("up", "down")
    quick: bool = False  # only CUBIC in the environments, fewer repeats
    both: bool = False  # environments: each flow in both directions
    only: tuple = ()  # these environments
    mptcp: tuple = ()  # rows and environments to compare with it


QUICK = Plan(seconds=6, late=8, ways=("up",), quick=True)


class Suite:
    """One run. Rows run in threads of their own and wait for jobs."""

    def __init__(self, plan, pool, tell):
        self.plan, self.pool, self.tell = plan, pool, tell
        self.memo = {}
        self.lock = threading.Lock()
        self.figures = {}  # by row
        self.series = {}  # name: data of a picture
        self.against = None  # another build directory

    def once(self, key, *job):
        """A future of a job; the same key gives the same one."""
        with self.lock:
            if key not in self.memo:
                self.memo[key] = self.pool.submit(*job)
            return self.memo[key]

    def run(self, names, save):
        """Runs these rows; save() is called whenever one is complete."""
        threads = [threading.Thread(target=self.run_row, daemon=True,
                                    args=(place, name, save))
                   for place, name in enumerate(names)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run_row(self, place, name, save):
        current = Row(self, place, name)
        try:
            rows[name](current)
        except Exception as e:  # the other rows are still wanted
            traceback.print_exc(file=sys.stderr)
            current.report("all of it", None, 0, note=f"failed: {e!r:.200}")
        with self.lock:
            self.figures[name] = current.figures
            for figure in current.figures:
                self.tell(figure)
            save()

    def all_figures(self):
        return [figure for name in rows if name in self.figures
                for figure in self.figures[name]]


class Row:
    """A row at work."""

    def __init__(self, suite, place, name):
        self.suite, self.place, self.name = suite, place, name
        self.plan = suite.plan
        self.figures = []

    def report(self, name, value, target=None, unit="", **options):
        self.figures.append(
            Figure(self.name, name, value, target, unit, **options))

    def figure(self, name, measured, target=None, unit="", less=False,
               **more):
        """Reports what measured() gives: a value, or a dict with it, a note
        and more data. What fails is one figure that is missed."""
        try:
            got = measured()
        except Exception as e:  # the other figures are still wanted
            got = {"value": None, "note": f"failed: {e!r:.150}"}
        got = got if isinstance(got, dict) else {"value": got}
        self.report(name, target=target, unit=unit, less=less,
                    **{**more, **got})

    def job(self, mbit, function, *args, **options):
        """A future of a job that loads the machine with so many Mbit/s."""
        return self.suite.pool.submit(self.place, mbit, function, *args,
                                      **options)

    def exclusive(self, function, *args, **options):
        """A future of a job that wants the machine for itself."""
        return self.job(1e9, function, *args, **options)

    def alone(self, function, *args, **options):
        """The result of it."""
        return self.exclusive(function, *args, **options).result()

    def trial(self, function, wires, kind):
        """A future of a trial, done once in a run."""
        return self.suite.once(
            (function, wires, kind), self.place, total(wires, kind.way),
            function, wires, kind, self.plan)

    def goodput(self, wires, kind):
        return self.trial(trials.goodput, wires, kind)

    def mptcp(self, wires, kind):
        return self.trial(trials.mptcp, wires, kind)
