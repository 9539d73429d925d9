"""Runs jobs side by side as far as a small machine bears it: at most so many
at once, and their Mbit/s together below a bound. A job that asks for more than
the bound runs alone. Each has a place in the order and starts when nothing
before it fits any more."""
import sys
import threading
import time
from concurrent.futures import Future


class Pool:
    def __init__(self, jobs=3, mbit=250):
        self.jobs, self.mbit = jobs, mbit
        self.waiting, self.running = [], []  # [place, mbit, future, call]
        self.changed = threading.Condition()
        self.done = 0
        self.began = time.monotonic()

    def submit(self, place, mbit, function, *args, **options):
        """A future of the function's result; place is any ordered value."""
        job = (place, mbit, Future(), lambda: function(*args, **options))
        with self.changed:
            self.waiting.append(job)
            self.waiting.sort(key=lambda j: j[0])
            self.start_some()
        return job[2]

    def fits(self, mbit):
        if not self.running:
            return True
        return len(self.running) < self.jobs and \
            sum(job[1] for job in self.running) + mbit <= self.mbit

    def start_some(self):
        for job in self.waiting[:]:
            if self.fits(job[1]):
                self.waiting.remove(job)
                self.running.append(job)
                threading.Thread(target=self.run, args=(job,),
                                 daemon=True).start()

    def run(self, job):
        _, _, future, call = job
        try:
            value, error = twice(call), None
        except Exception as e:  # handed over to who asked
            value, error = None, e
        with self.changed:
            self.running.remove(job)
            self.done += 1
            self.start_some()
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def progress(self):
        """For people who wait."""
        with self.changed:
            waiting, running = len(self.waiting), len(self.running)
        return (f"{self.done} of {self.done + waiting + running} measurements "
                f"in {(time.monotonic() - self.began) / 60:.1f} min")


def twice(call):
    """The machine may have been away for a moment: one more try."""
    try:
        return call()
    except (AssertionError, RuntimeError, OSError) as e:
        print(f"once more, after {e!r:.500}", file=sys.stderr, flush=True)
        return call()
