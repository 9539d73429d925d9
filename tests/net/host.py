"""A host of the lab: a network namespace with its own /run, /etc/hosts and
/dev/log, and processes and sockets inside it."""
import ctypes
import functools
import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PATIENCE = 3  # a time-out is what a quiet machine needs; a busy one gets more

# In the private mount namespace of the host, then asleep for its lifetime.
HOLD = r"""
set -e
d=$1
mkdir -p $d/run/lab
mount --bind /run/lab $d/run/lab
mount --bind $d/log /dev/log
mount --bind $d/hosts /etc/hosts
[ ! -e /etc/resolv.conf ] || mount --bind $d/resolv.conf /etc/resolv.conf
mount -t sysfs -o ro sysfs /sys
mount --rbind $d/run /run
echo ready
exec sleep infinity
"""

SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/promote_secondaries": 1,
    "net/ipv4/tcp_no_metrics_save": 1,  # no run may influence the next
    "net/ipv4/icmp_ratelimit": 0,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
}


class Timeout(AssertionError):
    """A condition did not come true in time."""


def wait_for(condition, timeout=10, what=None, poll=0.02):
    """Waits until condition() is true and gives its value."""
    deadline = time.monotonic() + PATIENCE * timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"not within {PATIENCE} x {timeout} s: "
                          f"{what or getattr(condition, '__doc__', '') or condition}")
        time.sleep(poll)


@functools.cache
def real_time(priority):
    """Words before a command that shall not wait for other work of this
    machine; none where that is not allowed."""
    words = ["chrt", "-r", str(priority)]
    try:
        allowed = subprocess.run(words + ["true"], stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        return []
    return words if allowed.returncode == 0 else []


class Syslog:
    """The /dev/log of one host: collects lines and waits for them."""

    def __init__(self, path):
        self.lines = []  # (time.monotonic(), text with ident)
        self.changed = threading.Condition()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            data = self.sock.recv(65536)
            if data == b"end of lab":
                self.sock.close()
                return
            text = re.sub(r"^<\d+>(\w{3} [ \d]\d [\d:]{8} )?", "",
                          data.decode("utf-8", "replace")).rstrip("\n\0")
            with self.changed:
                self.lines.append((time.monotonic(), text))
                self.changed.notify_all()

    def mark(self):
        """A position: give it to find() or wait() as `since`."""
        return len(self.lines)

    def find(self, pattern, since=0):
        """All lines (text) that match the regular expression."""
        return [text for _, text in self.lines[since:]
                if re.search(pattern, text)]

    def wait(self, pattern, timeout=10, since=0):
        """Waits for a line; gives (time.monotonic() of it, its text)."""
        deadline = time.monotonic() + PATIENCE * timeout
        at = since
        with self.changed:
            while True:
                for when, text in self.lines[at:]:
                    if re.search(pattern, text):
                        return when, text
                at = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f"no line /{pattern}/ within {PATIENCE} x "
                                  f"{timeout} s in:\n" + self.text(since))
                self.changed.wait(left)

    def text(self, since=0):
        first = self.lines[0][0] if self.lines else 0
        return "\n".join(f"{when - first:9.3f} {text}"
                         for when, text in self.lines[since:])

    def close(self, path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(path)
            s.send(b"end of lab")


class Process:
    """Facts about a process, read from /proc."""

    def __init__(self, pid):
        self.pid = pid

    def alive(self):
        try:
            return self.status()["State"][0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def status(self):
        with open(f"/proc/{self.pid}/status") as f:
            return dict(line.rstrip("\n").split(":\t", 1) for line in f
                        if ":\t" in line)

    def uid(self):
        return int(self.status()["Uid"].split()[0])

    def private_kb(self):
        """Memory that only this process has."""
        with open(f"/proc/{self.pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f
                       if line.startswith("Private_"))

    def wakeups(self):
        """Times that any of its threads slept and woke up. That a busy
        machine takes the processor away for a while does not count."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/status") as f:
                total += sum(int(line.split()[1]) for line in f
                             if line.startswith("voluntary_ctxt"))
        return total

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fds(self):
        base = f"/proc/{self.pid}/fd"
        return {int(fd): os.readlink(f"{base}/{fd}")
                for fd in os.listdir(base)}

    def root(self):
        return os.readlink(f"/proc/{self.pid}/root")

    def root_entries(self):
        return os.listdir(f"/proc/{self.pid}/root/")

    def title(self):
        with open(f"/proc/{self.pid}/cmdline", "rb") as f:
            return f.read().rstrip(b"\0").replace(b"\0", b" ").decode()

    def children(self):
        found = []
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/children") as f:
                found += [Process(int(pid)) for pid in f.read().split()]
        return sorted(found, key=lambda p: p.pid)

    def kill(self, sig=signal.SIGKILL):
        os.kill(self.pid, sig)


class Host:
    """One machine of the lab."""

    def __init__(self, lab_dir, name):
        self.name = name
        self.dir = f"{lab_dir}/{name}"
        self.spawned = []
        os.makedirs(f"{self.dir}/run")
        self.syslog = Syslog(f"{self.dir}/log")
        open(f"{self.dir}/resolv.conf", "w").close()
        self.names = {}
        self.set_names({})
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private",
             "sh", "-c", HOLD, "sh", self.dir],
            stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"host {name} did not start")
        self.pid = self.holder.pid
        self.shell("ip link set lo up\n" + "\n".join(
            f"echo {value} > /proc/sys/{key} 2>/dev/null || :"
            for key, value in SYSCTLS.items()))

    def set_names(self, names):
        """Changes /etc/hosts: {name: address or [addresses]}, None removes."""
        self.names = {k: v for k, v in {**self.names, **names}.items() if v}
        lines = ["127.0.0.1 localhost\n", "::1 localhost\n"]
        for name, addresses in self.names.items():
            if isinstance(addresses, str):
                addresses = [addresses]
            lines += [f"{address} {name}\n" for address in addresses]
        with open(f"{self.dir}/hosts", "w") as f:  # in place: it is mounted
            f.writelines(lines)

    def enter(self, command):
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net",
                f"--mount=/proc/{self.pid}/ns/mnt", "--",
                *[str(word) for word in command]]

    def run(self, *command, check=True, timeout=60, **options):
        """Runs a command to its end; gives a CompletedProcess with text."""
        done = subprocess.run(self.enter(command), text=True, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name}: {command}: {done.returncode}\n"
                               f"{done.stdout}{done.stderr}")
        return done

    def shell(self, script):
        return self.run("sh", "-ec", script).stdout

    def ip(self, *lines):
        """Runs lines of ip(8), all or up to the first that fails."""
        self.run("ip", "-batch", "-", input="\n".join(lines) + "\n")

    def await_links(self):
        """Waits until no interface drops what it is given: the kernel sets
        them to work some time after both ends of a cable are up."""
        wait_for(lambda: not re.search(
            r"UP[,>].* qdisc noop|NO-CARRIER", self.shell("ip link show up")),
            5, f"links of {self.name}")

    def spawn(self, *command, **options):
        """Starts a command; it ends with the lab at the latest."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.enter(command), **options)
        self.spawned.append(process)
        return process

    def call(self, function, *args):
        """Calls a function in a thread that is in this host's network."""
        result = queue.Queue()

        def inside():
            fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
            try:
                if LIBC.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                result.put((function(*args), None))
            except BaseException as e:  # handed over to the caller
                result.put((None, e))
            finally:
                os.close(fd)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        value, error = result.get()
        if error is not None:
            raise error
        return value

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, proto=0):
        """A socket of this host, for use from anywhere."""
        return self.call(socket.socket, family, kind, proto)

    def processes(self):
        """Everything that runs in this host, except what holds it."""
        mine = os.readlink(f"/proc/{self.pid}/ns/net")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/ns/net") == mine:
                    found.append(Process(int(pid)))
            except OSError:
                continue
        return [p for p in found if p.pid != self.pid]

    def close(self):
        for process in self.processes():
            try:
                process.kill()
            except ProcessLookupError:
                pass
        for process in self.spawned:
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.syslog.close(f"{self.dir}/log")
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
