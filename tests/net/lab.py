"""A lab: two routers, up to 16 emulated lines between them, and whatever a
test needs around them.

                    m: the operators, one lineemu process
           .-------------------------------------------------.
     a     |   a1 <--- line 1: rate, queue, delay ... ---> b1 |     b
  client --+-- wan1                                     wan1 -+-- server
  router   |   a2 <--- line 2                       ---> b2   |   router
    |    --+-- wan2                                     wan2 -+--    |
    |      '-------------------------------------------------'      |
   ca                                                               cb
 10.100.1.2   hosts behind the routers (Lab(behind=True))     10.100.2.2
 fd00:1::2                                                     fd00:2::2

Line N: a is 10.N.0.1 and fdNN::1 on wanN, b is 10.N.0.2 and fdNN::2. b also
has 203.0.113.1 and fd00:203::1 on lo, which a reaches over every line (the
route of line N has metric N). A line with nat=True passes the host n between
the operator and b: there a is 192.168.N.1, and b sees it as 10.N.0.1 and a
port that NAT chose.

Everything is in the private world of the launcher tests/net/lab, so nothing
has to be cleaned up outside; close() gives the memory back."""
import itertools
import json
import os
import socket
import subprocess
import tempfile

from daemon import Conf, Daemon
from host import Host, Process, Timeout, real_time, wait_for

__all__ = ["BUILD", "PASSWORD", "Lab", "Line", "Process", "Timeout", "bits",
           "wait_for"]

BUILD = os.environ.get("MLVPN_BUILD", os.getcwd())
PASSWORD = "correct horse battery staple"
PROBABILITIES = ("loss", "dup", "reorder", "flip")
UNITS = {"gbit": 1e9, "mbit": 1e6, "kbit": 1e3, "bit": 1}

open_labs = []


def bits(rate):
    """Bits per second from a number or a text as "2.5mbit"; None is 0."""
    if not isinstance(rate, str):
        return float(rate or 0)
    for unit, factor in UNITS.items():
        if rate.endswith(unit):
            return float(rate[:-len(unit)]) * factor
    return float(rate)


def emu_settings(**settings):
    """The emulator's words for what a test says: rates as bits() takes them,
    times in ms, probabilities in percent, queue in bytes or as "80ms"."""
    words = {}
    rate = bits(settings["rate"]) if "rate" in settings else None
    for key, value in settings.items():
        if key == "rate":
            words["rate"] = int(rate)
        elif key in ("delay", "jitter", "late", "window"):
            words[key] = int(value * 1e6)
        elif key in PROBABILITIES:
            words[key] = value / 100
        elif key == "queue" and isinstance(value, str):
            words[key] = int(rate * float(value.removesuffix("ms")) / 8e3)
        elif key == "depth":
            words[key] = int(bits(value))
        else:
            words[key] = int(value) if key in ("queue", "up") else value
    if "rate" in settings and "queue" not in settings:
        words["queue"] = max(int(rate / 8 * 0.1), 15000) if rate else 1 << 30
    return words


class Line:
    """One line. Settings hold for both directions unless up= (a to b) or
    down= (b to a) says otherwise: Line("50mbit", delay=10, up=dict(loss=1)).

    rate   IP bits per second, None: unlimited    queue  bytes or "80ms",
    delay  one way, ms                                   default 100 ms
    jitter sigma, ms; the order is kept           loss   %, in bursts of
    dup, reorder, flip  %                         burst  packets on average
    late   ms that a reordered packet is late     nat, mtu
    """

    def __init__(self, rate=None, up=None, down=None, nat=False, mtu=1500,
                 **both):
        self.settings = {
            "up": {"rate": rate, **both, **(up or {})},
            "down": {"rate": rate, **both, **(down or {})}}
        self.nat, self.mtu = nat, mtu

    def place(self, lab, number):
        """Gives the line its number and with it names and addresses."""
        self.lab, self.number, n = lab, number, number
        self.name, self.ifname = f"l{n}", f"wan{n}"
        self.a4 = f"192.168.{n}.1" if self.nat else f"10.{n}.0.1"
        self.b4, self.nat4 = f"10.{n}.0.2", f"10.{n}.0.1"
        self.a6, self.b6 = f"fd{n:02x}::1", f"fd{n:02x}::2"
        self.gone = set()

    def rate(self, direction):
        return bits(self.settings[direction].get("rate"))

    def mac(self, side):
        digit = {"a": 0xA, "b": 0xB, "nat": 0xC, "operator": 0xE}[side]
        return f"02:00:00:00:{self.number:02x}:{digit:02x}"

    def port(self, side):
        """The operator's interface towards a or b."""
        return f"{side}{self.number}"

    def host(self, side):
        """The host at that end of the emulated line."""
        if side == "b" and self.nat:
            return self.lab.n
        return getattr(self.lab, side)

    # Construction

    def build_end(self, side):
        """The veth pair and addresses of one end."""
        host, port, n = self.host(side), self.port(side), self.number
        self.lab.m.ip(f"link add {port} mtu {self.mtu} address "
                      f"{self.mac('operator')} type veth peer name "
                      f"{self.ifname} address {self.mac(self.end(side))} "
                      f"mtu {self.mtu} netns {host.pid}",
                      f"link set {port} up")
        # Without offloads a frame in the emulator is a packet of the line.
        host.run("ethtool", "-K", self.ifname, "tx", "off", "tso", "off",
                 "gso", "off", "gro", "off")
        far = self.mac(self.end("b" if side == "a" else "a"))
        if host is self.lab.n:
            mine4, peers4 = f"192.168.{n}.254/24", [self.a4]
            mine6, peers6 = None, []
        elif side == "a":
            mine4, mine6 = f"{self.a4}/24", f"{self.a6}/64"
            peers4 = [f"192.168.{n}.254" if self.nat else self.b4]
            peers6 = [self.b6]
        else:
            mine4, mine6 = f"{self.b4}/24", f"{self.b6}/64"
            peers4, peers6 = [self.a4], [self.a6]
        lines = [f"link set {self.ifname} up",
                 f"addr add {mine4} dev {self.ifname}"]
        if mine6:
            lines += [f"addr add {mine6} dev {self.ifname} nodad"]
        # The next hop of a line is there also when the line is dead.
        lines += [f"neigh replace {peer} lladdr {far} dev {self.ifname}"
                  for peer in peers4 + peers6]
        if side == "a":
            lines += self.routes_of_a(peers4[0])
        host.ip(*lines)

    def routes_of_a(self, gateway):
        n, dev = self.number, self.ifname
        lines = [f"route add 203.0.113.1 via {gateway} dev {dev} metric {n}"]
        if self.nat:
            return [f"route add {self.b4} via {gateway} dev {dev}"] + lines
        return lines + [f"route add fd00:203::1 via {self.b6} dev {dev} "
                        f"metric {n}"]

    def end(self, side):
        return "nat" if side == "b" and self.nat else side

    def build_nat(self):
        """The plain cable from NAT to b."""
        n, b, nat = self.number, self.lab.b, self.lab.n
        nat.ip(f"link add out{n} type veth peer name {self.ifname} address "
               f"{self.mac('b')} netns {b.pid}",
               f"link set out{n} up", f"addr add {self.nat4}/24 dev out{n}")
        b.ip(f"link set {self.ifname} up",
             f"addr add {self.b4}/24 dev {self.ifname}")
        b.run("ethtool", "-K", self.ifname, "tx", "off", "tso", "off", "gso",
              "off")
        nat.ip(f"route add 203.0.113.1 via {self.b4} metric {n}")

    # Changes while it runs

    def set(self, direction="both", **settings):
        """Changes settings: line.set("up", loss=5) or line.set(delay=50)."""
        for name in ("up", "down"):
            if direction in (name, "both"):
                merged = {**self.settings[name], **settings}
                if "rate" not in settings and "queue" in settings:
                    settings["rate"] = merged.get("rate")
                self.settings[name] = merged
        words = " ".join(f"{k}={v}" for k, v in
                         emu_settings(**settings).items())
        self.lab.emu(f"set {self.number} {direction} {words}")

    def cut(self, direction="both"):
        """From now on nothing arrives; nobody is told."""
        self.set(direction, up=0)

    def heal(self, direction="both"):
        self.set(direction, up=1)

    def remove_interface(self, side="a"):
        """The interface vanishes, as a USB modem that is pulled out."""
        self.host(side).ip(f"link del {self.ifname}")

    def restore_interface(self, side="a"):
        self.build_end(side)
        self.lab.emu(f"attach {self.number} {side} {self.port(side)}")

    def change_address(self, side, v4=None, v6=None):
        """The operator gives one end other addresses."""
        host, other = self.host(side), self.host("b" if side == "a" else "a")
        for attribute, new, length in (("4", v4, 24), ("6", v6, 64)):
            if new is None:
                continue
            old = getattr(self, side + attribute)
            nodad = " nodad" if attribute == "6" else ""
            other.ip(f"neigh replace {new} lladdr {self.mac(self.end(side))} "
                     f"dev {self.ifname}")
            host.ip(f"addr add {new}/{length} dev {self.ifname}{nodad}",
                    f"addr del {old}/{length} dev {self.ifname}")
            setattr(self, side + attribute, new)

    # Figures

    def stats(self):
        """Counters: {"up": {...}, "down": {...}, "missed": n, ...}."""
        return self.lab.stats()[self.number]

    def record(self, path):
        """Writes what enters the line, both directions, to a pcap file;
        None ends it."""
        self.lab.emu(f"pcap {self.number} {path or 'off'}")


class Lab:
    """See the top of the file. A context manager.

    quiet: the daemons do not wait for the other work of a shared machine, so
    that figures are theirs and not of the neighbours. The lines never do.
    tick_us: how exact the lines are; the less, the more of the machine is
    left. build: the directory that mlvpn is taken from."""

    counter = itertools.count(1)

    def __init__(self, lines=(), behind=False, seed=1, jumbo=False,
                 quiet=False, tick_us=50, build=BUILD):
        if "MLVPN_LAB" not in os.environ:
            raise RuntimeError("start it by tests/net/lab")
        self.dir = tempfile.mkdtemp(prefix="", dir="/run/lab")
        os.chmod(self.dir, 0o755)
        self.lines = [line if isinstance(line, Line) else Line(**line)
                      for line in lines]
        self.daemons = []
        self.quiet = quiet
        self.build = build
        self.hosts = []
        open_labs.append(self)
        try:
            self.m = self.add_host("m")
            self.m.shell("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6;"
                         "echo 1 > "
                         "/proc/sys/net/ipv6/conf/default/disable_ipv6")
            self.a = self.add_host("a")
            self.b = self.add_host("b")
            self.n = self.add_host("n") if any(
                line.nat for line in self.lines) else None
            self.b.ip("addr add 203.0.113.1/32 dev lo",
                      "addr add fd00:203::1/128 dev lo nodad")
            self.start_emulator(seed, jumbo, tick_us)
            for number, line in enumerate(self.lines, 1):
                self.build_line(line, number)
            for host in (self.m, self.a, self.b):
                host.await_links()
            if self.n:
                self.renew_nat()
            if behind:
                self.build_behind()
        except BaseException:
            self.close()
            raise

    def add_host(self, name):
        host = Host(self.dir, name)
        self.hosts.append(host)
        return host

    # Construction

    def start_emulator(self, seed, jumbo, tick_us):
        path = f"{self.dir}/emu.sock"
        self.emulator = self.m.spawn(
            *real_time(2), f"{BUILD}/tests/net/lineemu", "-s", seed,
            "-f", 9728 if jumbo else 2048, "-t", tick_us, path,
            stdout=subprocess.PIPE, text=True)
        if self.emulator.stdout.readline() != "ready\n":
            raise RuntimeError("lineemu did not start")
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.connect(path)

    def emu(self, request):
        """One request to the emulator; gives its answer."""
        self.control.send(request.encode())
        answer = self.control.recv(65536).decode()
        if answer.startswith("error"):
            raise RuntimeError(f"lineemu: {request}: {answer}")
        return answer

    def build_line(self, line, number):
        line.place(self, number)
        if line.nat:
            line.build_nat()
        line.build_end("a")
        line.build_end("b")
        self.emu(f"add {number} {line.port('a')} {line.port('b')}")
        for direction in ("up", "down"):
            line.set(direction, **line.settings[direction])

    def add_line(self, line):
        """A line more, while the lab runs."""
        self.lines.append(line)
        self.build_line(line, len(self.lines))
        if line.nat:
            self.renew_nat()
        return line

    def renew_nat(self, first_port=20000):
        """Forgets all NAT mappings; new ones use ports from first_port."""
        rules = "".join(
            f'oifname "out{line.number}" ip saddr {line.a4} meta l4proto udp '
            f"snat to {line.nat4}:{first_port}-{first_port + 999}\n"
            f'oifname "out{line.number}" ip saddr {line.a4} '
            f"snat to {line.nat4}\n"
            for line in self.lines if line.nat)
        self.n.run("nft", "-f", "-", input=(
            "table ip lab\ndelete table ip lab\ntable ip lab {\n"
            "chain post {\ntype nat hook postrouting priority srcnat\n"
            + rules + "}\n}\n"))
        self.n.run("conntrack", "-F")

    def build_behind(self):
        for number, router, name in ((1, self.a, "ca"), (2, self.b, "cb")):
            host = self.add_host(name)
            setattr(self, name, host)
            router.ip(f"link add lan type veth peer name lan netns {host.pid}",
                      "link set lan up",
                      f"addr add 10.100.{number}.1/24 dev lan",
                      f"addr add fd00:{number}::1/64 dev lan nodad")
            host.ip("link set lan up",
                    f"addr add 10.100.{number}.2/24 dev lan",
                    f"addr add fd00:{number}::2/64 dev lan nodad",
                    f"route add default via 10.100.{number}.1",
                    f"route add ::/0 via fd00:{number}::1")

    # Figures

    def stats(self):
        """Counters of all lines by number."""
        return {int(n): s for n, s in json.loads(self.emu("stat")).items()}

    def reset(self):
        """All counters from zero."""
        self.emu("reset")

    # The daemons

    def conf(self, side, share=0.97, v6=False, **general):
        """The configuration of router "a" or "b" for all lines; keywords go
        to [general]. share: the part of a line's rate that is configured."""
        n = {"a": 1, "b": 2}[side]
        conf = Conf()
        conf["general"] = {
            "mode": "client" if side == "a" else "server",
            "interface_name": "mlvpn0", "password": PASSWORD,
            "ip4": f"10.200.0.{n}/24", "ip6": f"fd00:200::{n}/64", **general}
        for line in self.lines:
            conf[line.name] = self.conf_line(side, line, share, v6)
        return conf

    @staticmethod
    def conf_line(side, line, share=0.97, v6=False):
        """The section of one line."""
        mine, peer = (line.a6, line.b6) if v6 else (line.a4, line.b4)
        port = 5080 + line.number
        if side == "a":
            section = {"bindhost": mine, "remotehost": peer,
                       "remoteport": port}
        else:
            section = {"bindhost": peer, "bindport": port}
        for key, direction in (("bandwidth_upload", "up"),
                               ("bandwidth_download", "down")):
            if share and line.rate(direction):
                section[key] = f"{line.rate(direction) * share / 1e3:g}kbit"
        return section

    def daemon(self, side, conf=None, **options):
        """A daemon on a host (not started): lab.daemon("a").start()."""
        host = getattr(self, side)
        daemon = Daemon(host, conf or self.conf(side), self.build, **options)
        if self.quiet:
            daemon.prefix = real_time(1)
        self.daemons.append(daemon)
        return daemon

    def start(self, share=0.97, v6=False, patience=20, **general):
        """Starts both daemons with conf() and waits until all links are up;
        gives (client, server)."""
        both = tuple(self.daemon(side, self.conf(side, share, v6, **general))
                     for side in "ab")
        for daemon in both:
            daemon.start()
        for daemon in both:
            daemon.wait_up(timeout=patience)
        return both

    def report(self):
        """What happened, for a failed test."""
        parts = []
        for host in self.hosts:
            if host.syslog.lines:
                parts.append(f"--- syslog of {host.name}\n"
                             + host.syslog.text())
        for daemon in self.daemons:
            text = daemon.stderr()
            if text:
                parts.append(f"--- stderr of {daemon.name}\n{text}")
        return "\n".join(parts + self.figures())

    def figures(self):
        """Counters of the lines and of the daemons that still run."""
        parts = []
        try:
            for number, line in self.stats().items():
                parts.append(f"--- line {number}: {line}")
            for daemon in self.daemons:
                if daemon.running():
                    parts.append(f"--- status of {daemon.name}: "
                                 f"{daemon.status_if_any()}")
            for host in (self.a, self.b):
                parts.append(f"--- {host.name}\n" + host.shell(
                    "ip -s link show mlvpn0 || :; grep -E '^(Ip|Icmp):' "
                    "/proc/self/net/snmp"))
        except (OSError, AttributeError, ValueError) as e:
            parts.append(f"--- no more figures: {e}")
        return parts

    def close(self):
        if self not in open_labs:
            return
        open_labs.remove(self)
        for daemon in self.daemons:
            daemon.stop(check=False)
        for host in reversed(self.hosts):
            host.close()
        if hasattr(self, "control"):
            self.control.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
