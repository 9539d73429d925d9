"""What the tunnel achieves between two routers, beside what it should.

usage: tests/net/lab /usr/bin/python3 tests/bench/bench_tunnel.py
       [--quick] [-o FILE]... [OPTION...] [ROW...]

In the directory of the build, or with MLVPN_BUILD naming it. Every figure is
a ratio or a difference within one run, as the machine may be busy with other
things. Lines are configured at their emulated rate unless the row says
otherwise, both counting outer IP bytes; the ceiling of a goodput is the sum of
the rates x inner TCP payload / outer IP bytes. A target marked * is our own:
nobody asked for that number, but the figure needs one."""
import argparse
import importlib
import os
import platform
import shutil
import subprocess
import sys
import time

sys.path[1:1] = [os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "../net")]

import figures  # noqa: E402
from pool import Pool  # noqa: E402
from suite import QUICK, Plan, Suite, rows  # noqa: E402
from worlds import ENVIRONMENTS  # noqa: E402

for module in ("goodput", "environments", "latency", "failure", "cost",
               "basics"):
    importlib.import_module(f"rows_{module}")

COMPARED = ("eq2", "uneq3", "dsl4", "loss1", "loss5", "burst", "gig2")


def commit(directory=os.path.dirname(os.path.abspath(__file__))):
    """Of the source there, by default this file's, where it is a repository."""
    done = subprocess.run(
        ["git", "-C", directory, "-c", "safe.directory=*", "describe",
         "--always", "--dirty"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


def source_of(build):
    """The directory of the source that a build was made from."""
    try:
        with open(f"{build}/Makefile") as f:
            return next(line.split()[2] for line in f
                        if line.startswith("abs_top_srcdir = "))
    except (OSError, StopIteration):
        return build


def about(args, began):
    return {"commit": commit(), "kernel": platform.release(),
            "against": args.against and (commit(source_of(args.against)) or
                                         args.against),
            "processors": os.cpu_count(), "quick": args.quick,
            "arguments": sys.argv[1:],
            "minutes": round((time.monotonic() - began) / 60, 1)}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-o", "--output", action="append", default=[], metavar="FILE",
        help="all figures as JSON, or as CSV where it ends in .csv")
    add("--quick", action="store_true",
        help="shorter, one direction, only CUBIC in the environments")
    add("--both", action="store_true", help="every flow of the environments "
        "in both directions, else each sender has one")
    add("--seconds", type=float, help="measured seconds of a flow")
    add("--skip", type=float, help="seconds before they count")
    add("--late", type=float, help="the same for CUBIC in the "
        "environments, 30, or with --quick 8")
    add("--jobs", type=int, default=3, help="labs at once")
    add("--mbit", type=float, default=250, help="and their Mbit/s together")
    add("--only", action="append", default=[], metavar="ENVIRONMENT",
        choices=list(ENVIRONMENTS), help="of the environments only this one")
    add("--mptcp", choices=("no", "rows", "all"), default="rows",
        help="kernel MPTCP beside the rows of one flow, or beside the "
        "environments, too")
    add("--against", metavar="BUILD", default=os.environ.get("MLVPN_AGAINST"),
        help="compare processor time with the mlvpn of this build directory "
        "(default: $MLVPN_AGAINST)")
    add("row", nargs="*", help=" ".join(rows))
    args = parser.parse_args()
    for name in args.row:
        if name not in rows:
            parser.error(f"no row {name}; there are {' '.join(rows)}")
    return args


def plan_of(args):
    plan = QUICK if args.quick else Plan()
    given = {key: getattr(args, key) for key in ("seconds", "skip", "late")
             if getattr(args, key) is not None}
    if args.mptcp != "no" and shutil.which("mptcpize") is None:
        print("no mptcpize, so nothing to compare with: tests/deps.sh bench",
              file=sys.stderr)
        args.mptcp = "no"
    compared = {"no": (), "rows": COMPARED,
                "all": COMPARED + tuple(ENVIRONMENTS)}[args.mptcp]
    return plan._replace(both=args.both, only=tuple(args.only),
                         mptcp=compared, **given)


def main():
    args, began = arguments(), time.monotonic()
    os.nice(-20)  # so that senders and receivers wait for nobody, either
    pool = Pool(args.jobs, args.mbit)
    suite = Suite(plan_of(args), pool, lambda line: print(line, flush=True))

    suite.against = args.against and os.path.abspath(args.against)

    def save():
        for path in args.output:
            figures.write(path, about(args, began), suite.all_figures(),
                          suite.series)
        print(pool.progress(), file=sys.stderr, flush=True)

    print(figures.HEAD, flush=True)
    suite.run([name for name in rows if not args.row or name in args.row],
              save)
    print(figures.totals(suite.all_figures()))
    sys.exit(any(figure.failed() for figure in suite.all_figures()))


main()
