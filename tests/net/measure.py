"""Flows through the lab and what became of them. Each kind can run in the
background: flow = measure.Tcp(a, b, to); ...; flow.result()."""
import itertools
import json
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import time
import warnings

from frames import checksum
from host import Timeout

BUILD = os.environ.get("MLVPN_BUILD", os.getcwd())
PROBE = f"{BUILD}/tests/net/udpprobe"
INNER4 = {"a": "10.200.0.1", "b": "10.200.0.2"}
INNER6 = {"a": "fd00:200::1", "b": "fd00:200::2"}

ports = itertools.count(7001)


def best_of(attempt, attempts=3):
    """Calls attempt() until its assertions hold, so many times at most, and
    gives its value. It is for figures: one disturbed second of a busy machine
    spoils them and says nothing about the daemon. What must never happen at
    all is asserted outside, once."""
    for number in range(1, attempts):
        try:
            return attempt()
        except Timeout:
            raise
        except AssertionError as e:
            warnings.warn(f"attempt {number} of {attempts}: {e}")
    return attempt()


def await_line(process, text, timeout=30):
    """Waits until a process has written a line with this text."""
    end = time.monotonic() + timeout
    seen = ""
    while text not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise Timeout(f"no {text!r} from {process.args}: {seen}")
        line = os.read(process.stdout.fileno(), 4096).decode()
        if not line:
            raise RuntimeError(f"{process.args} ended: {seen}")
        seen += line


def inner(host, v6=False):
    """The tunnel's address of a router."""
    return (INNER6 if v6 else INNER4)[host.name]


def finish(process, timeout):
    """The output of a process that ends by itself."""
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Timeout(f"{process.args} did not end") from None
    return out if isinstance(out, str) else out.decode()


class Tcp:
    """iperf3 from one host to another. skip: seconds at the start that do
    not count. reverse: the receiver of the data opens the connection. wrap:
    words before the commands, as mptcpize run."""

    def __init__(self, source, sink, to=None, congestion="cubic", seconds=5,
                 skip=1, reverse=False, parallel=1, v6=False, interval=0.5,
                 tos=0, wrap=()):
        port = next(ports)
        listener, caller = (source, sink) if reverse else (sink, source)
        to = to or inner(listener, v6)
        self.seconds = seconds + skip
        self.server = listener.spawn(*wrap, "iperf3", "-s", "-1", "-p", port,
                                     "--forceflush", stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        await_line(self.server, "listening")
        self.client = caller.spawn(
            *wrap, "iperf3", "-c", to, "-p", port, "-C", congestion, "-t", seconds,
            "-O", skip, "-P", parallel, "-i", interval, "-J", "-S", tos,
            *(["-R"] if reverse else []),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def result(self):
        """{"mbps", "intervals" (Mbit/s after skip), "retransmits"}."""
        report = json.loads(finish(self.client, self.seconds + 20))
        self.stop()
        if "error" in report:
            raise RuntimeError(f"iperf3: {report['error']}")
        end = report["end"]
        return {
            "mbps": end["sum_received"]["bits_per_second"] / 1e6,
            "bytes": end["sum_received"]["bytes"],
            "retransmits": end["sum_sent"].get("retransmits", 0),
            "intervals": [i["sum"]["bits_per_second"] / 1e6
                          for i in report["intervals"]
                          if not i["sum"]["omitted"]]}

    def stop(self):
        for process in (self.client, self.server):
            if process.poll() is None:
                process.kill()
            process.wait()


def tcp(source, sink, **options):
    """A TCP transfer to its end."""
    return Tcp(source, sink, **options).result()


class Stream:
    """One TCP stream with the receiver's timeline: "gap_max_ms" is the
    longest time without data, "timeline" bytes per interval since "first_at"
    (time.monotonic())."""

    def __init__(self, source, sink, to=None, congestion="cubic", seconds=5,
                 v6=False, interval=0.1, wrap=()):
        port = next(ports)
        self.seconds = seconds
        self.receiver = sink.spawn(*wrap, PROBE, "trecv", "-p", port, "-i", interval,
                                   stdout=subprocess.PIPE)
        await_line(self.receiver, "ready")
        self.sender = source.spawn(
            *wrap, PROBE, "tsend", "-c", to or inner(sink, v6), "-p", port,
            "-b", congestion, "-t", seconds, stdout=subprocess.PIPE)

    def result(self, grace=30):
        """grace: seconds for what the sender had ready when it ended."""
        sent = json.loads(finish(self.sender, self.seconds + 20))
        try:
            self.receiver.wait(grace)
        except subprocess.TimeoutExpired:
            self.receiver.send_signal(signal.SIGTERM)
        return {**json.loads(finish(self.receiver, 10)), **sent}

    def stop(self):
        """Ends the sender early; then ask for result()."""
        self.sender.send_signal(signal.SIGTERM)


class Udp:
    """A constant flow of UDP packets: "sent", "received", "lost",
    "duplicates", "reordered", "gap_max_ms", "delay_ms": {"min", "median",
    "p90", "p99", "max"}. tos is the byte, so 0x10 or 0xb8 (EF)."""

    def __init__(self, source, sink, to=None, rate=50, size=64, seconds=5,
                 tos=0, v6=False, series=None, local=None):
        port = next(ports)
        self.seconds = seconds
        self.receiver = sink.spawn(
            PROBE, "recv", "-p", port, *(["-o", series] if series else []),
            stdout=subprocess.PIPE)
        await_line(self.receiver, "ready")
        self.sender = source.spawn(
            PROBE, "send", "-c", to or inner(sink, v6), "-p", port, "-r", rate,
            "-s", size, "-t", seconds, "-T", tos,
            *(["-l", local] if local else []), stdout=subprocess.PIPE)

    def result(self, grace=2):
        """grace: seconds for the last packets, or for the sender's last word
        where all of it was lost."""
        sent = json.loads(finish(self.sender, self.seconds + 20))
        try:
            self.receiver.wait(grace)
        except subprocess.TimeoutExpired:
            self.receiver.send_signal(signal.SIGTERM)
        got = json.loads(finish(self.receiver, 10))
        return {**sent, **got, "lost": sent["sent"] - got["received"]}

    def stop(self):
        """Ends the sender early; then ask for result()."""
        self.sender.send_signal(signal.SIGTERM)


def udp(source, sink, **options):
    """A UDP flow to its end."""
    return Udp(source, sink, **options).result()


class Ping:
    """ping: "sent", "received", "lost", "min", "avg", "max" (ms), "rtts",
    and "series": (number from 1, ms) of each answer."""

    def __init__(self, source, to, count=10, interval=0.05, size=56, tos=0,
                 wait=1, flood=False):
        self.timeout = count * interval + wait + 20
        self.process = source.spawn(
            "ping", "-c", count, "-i", interval, "-s", size, "-Q", tos,
            "-W", wait, *(["-f"] if flood else []), to,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def result(self):
        text = finish(self.process, self.timeout)
        series = [(int(number), float(ms)) for number, ms in
                  re.findall(r"icmp_seq=(\d+) .*time=([\d.]+) ms", text)]
        counts = re.search(r"(\d+) packets transmitted, (\d+) received", text)
        if not counts:
            raise RuntimeError(f"ping: {text}")
        sent, received = map(int, counts.groups())
        summary = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/", text)
        low, avg, high = map(float, summary.groups()) if summary else [0] * 3
        return {"sent": sent, "received": received, "lost": sent - received,
                "min": low, "avg": avg, "max": high, "series": series,
                "rtts": sorted(ms for _, ms in series)}


def echo_request(number, ident, size, six):
    """An ICMP or ICMPv6 echo request; of the latter the kernel sums."""
    body = bytes(size)
    head = struct.pack("!BBHHH", 128 if six else 8, 0, 0, ident, number)
    total = 0 if six else checksum(head + body)
    return head[:2] + struct.pack("!H", total) + head[4:] + body


def echo_reply(data, ident, six):
    """The number of the request that this answers, or None."""
    if not six:
        data = data[(data[0] & 15) * 4:]
    if len(data) < 8 or data[0] != (129 if six else 0):
        return None
    answered, number = struct.unpack_from("!HH", data, 4)
    return number if answered == ident else None


def ping(source, to, count=10, interval=0.05, size=56, wait=3):
    """A series of pings to its end; as Ping, but each has `wait` seconds:
    ping(8) leaves after two round trips, too soon on a busy machine."""
    six, ident = ":" in to, random.getrandbits(16)
    sock = source.socket(socket.AF_INET6 if six else socket.AF_INET,
                         socket.SOCK_RAW, 58 if six else 1)
    sent_at, rtts = [], {}
    with sock:
        sock.connect((to, 0))
        due = time.monotonic()
        while len(rtts) < count:
            now = time.monotonic()
            if len(sent_at) < count and now >= due:
                sent_at.append(now)
                due += interval
                try:
                    sock.send(echo_request(len(sent_at) - 1, ident, size, six))
                except OSError:
                    pass  # it is lost
            end = due if len(sent_at) < count else sent_at[-1] + wait
            if end <= now and len(sent_at) == count:
                break
            if not select.select([sock], [], [], max(end - now, 0))[0]:
                continue
            try:
                number = echo_reply(sock.recv(65536), ident, six)
            except OSError:
                continue  # an ICMP error
            if number is not None and number not in rtts:
                rtts[number] = (time.monotonic() - sent_at[number]) * 1e3
    times = sorted(rtts.values())
    return {"sent": count, "received": len(times),
            "lost": count - len(times), "rtts": times,
            "min": min(times, default=0), "max": max(times, default=0),
            "avg": sum(times) / len(times) if times else 0}


def counters(host):
    """The kernel's counters of a host, as nstat names them, and of the
    tunnel: {"TcpRetransSegs": n, "mlvpn0": {"rx_bytes": ...}, ...}."""
    found = {}
    for name in ("snmp", "netstat"):
        with open(f"/proc/{host.pid}/net/{name}") as f:
            for line in f:
                head, values = line.split(), next(f).split()
                found.update((head[0][:-1] + key, int(value)) for key, value
                             in zip(head[1:], values[1:]))
    with open(f"/proc/{host.pid}/net/dev") as f:
        for line in f:
            name, _, rest = line.partition(":")
            if rest:
                n = [int(word) for word in rest.split()]
                found[name.strip()] = {"rx_bytes": n[0], "rx_packets": n[1],
                                       "tx_bytes": n[8], "tx_packets": n[9]}
    return found


def line_rates(lab, seconds, direction="up", end="in"):
    """Bits per second in each line, over some seconds from now: what entered
    it ("in") or left it ("out"). {number: rate}"""
    key = f"{end}_bytes"
    before, start = lab.stats(), time.monotonic()
    time.sleep(seconds)
    after, stop = lab.stats(), time.monotonic()
    return {n: (after[n][direction][key] - before[n][direction][key]) * 8 /
            (stop - start) for n in after}
