"""The demo: started by demo.sh, inside tests/net/lab. One line each of plain
text where the output is no terminal, a picture that stays in place where it
is."""
import os
import re
import sys
import time

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/net")

import measure  # noqa: E402
from lab import Lab, Line  # noqa: E402

# rate, delay one way in ms
LINES = (("20mbit", 10), ("10mbit", 12), ("5mbit", 15))
TIMEOUT = 2  # s, of the links
CUT_AT, HEAL_AT, END_AT = 9, 16, 25  # s of the transfer
BAR = 30  # characters
BAR_MBIT = 30  # that many Mbit/s fill it

TERMINAL = sys.stdout.isatty()
COLOURS = TERMINAL and "NO_COLOR" not in os.environ


def mbit(bits):
    return bits / 1e6


def average(timeline, first, last, interval):
    """Mbit/s of a timeline between two instants."""
    part = timeline[int(first / interval):int(last / interval)]
    return mbit(sum(part) * 8 / (len(part) * interval)) if part else 0.0


def colour(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOURS else text


class Picture:
    """What mlvpnctl status says, several times a second."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.mark = daemon.mark()
        self.events = []
        self.samples = []  # (time, {name: bytes sent})
        self.shown_at = 0
        self.start = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.start

    def event(self, text):
        self.events.append((self.seconds(), text))
        if not TERMINAL:
            print(f"{self.seconds():5.1f} s  {text}", flush=True)

    def read_log(self):
        """The daemon's own lines on changes are the best comment."""
        lines = self.daemon.host.syslog.lines
        for when, text in lines[self.mark:]:
            said = re.search(r"(link \S+|bond): .*", text)
            if said:
                self.events.append((when - self.start, said[0]))
                if not TERMINAL:
                    print(f"{self.events[-1][0]:5.1f} s  syslog: {said[0]}",
                          flush=True)
        self.mark = len(lines)

    def rate(self, name, window=1.0):
        """Mbit/s over the last second."""
        now, counters = self.samples[-1]
        then, before = next(
            ((t, c) for t, c in self.samples if now - t <= window),
            self.samples[-1])
        if now == then or name not in before:
            return 0.0
        return mbit((counters[name] - before[name]) * 8 / (now - then))

    def row(self, name, state, rate, rtt="", loss=""):
        bar = "#" * min(BAR, round(rate / BAR_MBIT * BAR))
        mark = colour(f"{state:<5}", 32 if state == "up" else 31)
        return f"  {name:<6} {mark} {rate:6.1f} {bar:<{BAR}} {rtt:>8} {loss:>7}"

    def rows(self, status):
        yield (f"  {'':6} {'':5} {'Mbit/s':>6} {'sent now':<{BAR}} {'rtt':>8} "
               f"{'loss':>7}")
        for link in status["links"]:
            up = link["state"] == "up"
            yield self.row(
                link["name"], link["state"], self.rate(link["name"]),
                f"{link['rtt_ms']:.0f} ms" if up else "",
                f"{100 * link['loss_tx']:.1f} %" if up else "")
        yield self.row("bond", status["bond"]["state"], self.rate("bond"))

    def draw(self):
        status = self.daemon.status_if_any()
        if status is None:
            return
        counters = {x["name"]: x["tx_bytes"] for x in status["links"]}
        counters["bond"] = status["bond"]["tx_bytes"]
        self.samples = self.samples[-20:] + [(time.monotonic(), counters)]
        self.read_log()
        if TERMINAL:
            self.paint(status)
        elif self.seconds() - self.shown_at >= 2:
            self.shown_at = self.seconds()
            rates = ", ".join(f"{x['name']} {x['state']} "
                              f"{self.rate(x['name']):.1f}"
                              for x in status["links"])
            print(f"{self.seconds():5.1f} s  {rates}, bond "
                  f"{self.rate('bond'):.1f} Mbit/s", flush=True)

    def paint(self, status):
        lines = [f"  mlvpn: one TCP transfer from router A to router B, "
                 f"{self.seconds():.0f} of {END_AT} s", ""]
        lines += list(self.rows(status)) + [""]
        lines += [f"  {when:5.1f} s  {text}"[:78]
                  for when, text in self.events[-8:]]
        sys.stdout.write("\033[H\033[J" + "\n".join(lines) + "\n")
        sys.stdout.flush()

    def until(self, seconds):
        while self.seconds() < seconds:
            self.draw()
            time.sleep(0.25)


def alone(lab):
    """Each line without mlvpn: a transfer, and a small flow beside it. All
    lines at once, as they do not meet."""
    flows = []
    for line in lab.lines:
        stream = measure.Stream(lab.a, lab.b, to=line.b4, seconds=6)
        flows.append((stream, measure.Udp(lab.a, lab.b, to=line.b4,
                                          seconds=5)))
    results = []
    for stream, udp in flows:
        delay = udp.result()["delay_ms"]["median"]
        got = stream.result()
        results.append((average(got["timeline"], 1, 5.5, got["interval"]),
                        delay))
    return results


def transfer(lab, client):
    """The transfer through the bond; the second line is cut and healed."""
    line = lab.lines[1]
    picture = Picture(client)
    stream = measure.Stream(lab.a, lab.b, seconds=END_AT)
    picture.event("the transfer begins, one connection, all lines")
    udp = measure.Udp(lab.a, lab.b, seconds=CUT_AT - 2)
    picture.until(CUT_AT)
    mark = client.mark()
    cut_at = time.monotonic()
    line.cut()
    picture.event(f"line {line.name} is cut: nothing arrives any more")
    picture.until(HEAL_AT)
    healed_at = time.monotonic()
    line.heal()
    picture.event(f"line {line.name} works again")
    picture.until(END_AT)
    down_at, _ = client.wait_log(f"link {line.name}: down", 1, mark)
    up_at, _ = client.wait_log(f"link {line.name}: up", 1, mark)
    got = stream.result()
    return {
        "delay": udp.result()["delay_ms"]["median"],
        "noticed": down_at - cut_at, "back": up_at - healed_at,
        "whole": got["bytes"] == got["sent_bytes"],
        "gap": got["gap_max_ms"] / 1e3,
        "rates": [average(got["timeline"], first, last, got["interval"])
                  for first, last in ((2, CUT_AT - 0.5),
                                      (down_at - picture.start + 2, HEAL_AT),
                                      (up_at - picture.start + 2, END_AT))]}


def figures(what, rate, delay=""):
    print(f"    {what:<30} {rate:6.1f} Mbit/s   {delay}".rstrip())


def summary(lab, singles, idle, bond):
    whole, without, again = bond["rates"]
    print("\n  Throughput of one TCP connection (cubic), and the one-way delay "
          "of a small\n  unmarked flow beside it:\n")
    for line, (rate, delay) in zip(lab.lines, singles):
        figures(f"line {line.name} alone, without mlvpn", rate,
                f"{delay:6.1f} ms")
    figures("the bond of all three", whole,
            f"{bond['delay']:6.1f} ms   (idle {idle:.1f} ms)")
    figures(f"while {lab.lines[1].name} is cut", without)
    figures(f"after {lab.lines[1].name} came back", again)
    print(f"\n  The cut was noticed after {bond['noticed']:.1f} s (timeout = "
          f"{TIMEOUT}), the line used again after {bond['back']:.1f} s.\n"
          f"  The connection {'survived' if bond['whole'] else 'BROKE'}; its "
          f"longest pause was {bond['gap']:.1f} s.\n"
          "  Lines: " + ", ".join(f"{rate} {delay} ms one way"
                                  for rate, delay in LINES) +
          ";\n  configured at 0.97 of their rate.\n")


def main():
    print("two routers, three lines, in network namespaces", flush=True)
    with Lab([Line(rate, delay=delay) for rate, delay in LINES]) as lab:
        print("each line alone, without mlvpn ... ", end="", flush=True)
        singles = alone(lab)
        print("done")
        client, server = (lab.daemon(side, lab.conf(side, timeout=TIMEOUT))
                          for side in "ab")
        for daemon in (client, server):
            daemon.start()
        for daemon in (client, server):
            daemon.wait_up()
        idle = measure.udp(lab.a, lab.b, seconds=2)["delay_ms"]["median"]
        bond = transfer(lab, client)
        summary(lab, singles, idle, bond)


main()
