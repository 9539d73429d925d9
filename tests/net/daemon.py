"""A running mlvpn: its configuration, its processes, what it says."""
import json
import os
import signal
import socket
import subprocess
import time

from host import Process, Timeout, wait_for

# Appends one JSON-like block an event; the daemon runs one at a time.
HOOK = r"""#!/bin/sh
{ echo "at $(date +%s.%N)"; for word; do echo "arg $word"; done
env | sed 's/^/env /'; echo end; } >>{path}
"""


class Conf(dict):
    """Sections of an mlvpn.conf: conf["l1"]["timeout"] = 3. The value None
    leaves a key out."""

    def __str__(self):
        text = []
        for section, keys in self.items():
            text.append(f"[{section}]")
            text += [f"{key} = {value}" for key, value in keys.items()
                     if value is not None]
            text.append("")
        return "\n".join(text)

    def copy(self):
        return Conf({section: dict(keys) for section, keys in self.items()})

    def links(self):
        return [section for section in self if section != "general"]


class Daemon:
    """mlvpn on a host. `name` makes its syslog ident mlvpn-NAME."""

    def __init__(self, host, conf, build, name=None, args=(), env=None):
        self.host, self.conf, self.build = host, conf, build
        self.name = name or host.name
        self.args = list(args)
        self.env = env
        self.prefix = []
        self.process = None
        self.conf_path = f"{host.dir}/{self.name}.conf"
        self.hook_path = f"{host.dir}/hook"
        self.stderr_path = f"{host.dir}/{self.name}.stderr"

    # Life

    def write_conf(self, conf=None):
        """Writes the file anew: a Conf, or any text."""
        if conf is not None:
            self.conf = conf
        new = self.conf_path + ".new"
        with open(new, "w") as f:
            f.write(str(self.conf))
        os.chmod(new, 0o600)
        os.rename(new, self.conf_path)

    def start(self, *args):
        """Starts it in the foreground and does not wait for links."""
        self.write_conf()
        with open(self.stderr_path, "a") as err:
            self.process = self.host.spawn(
                *self.prefix, f"{self.build}/src/mlvpn", "-c", self.conf_path,
                "-n", self.name, *self.args, *args, stderr=err, stdout=err,
                env={**os.environ, **(self.env or {})})
        return self

    def stop(self, check=True, timeout=15):
        """SIGTERM; gives the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
            if check:
                raise Timeout(f"{self.name} did not end by SIGTERM") from None
        self.process = None
        if check and status != 0:
            raise AssertionError(f"{self.name} ended with {status}\n"
                                 + self.stderr())
        return status

    def kill(self):
        """SIGKILL to both processes, as a power failure."""
        for process in (self.worker(), self.parent()):
            process.kill()
        self.process.wait()
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def reload(self, conf=None):
        """New file and SIGHUP."""
        if conf is not None:
            self.write_conf(conf)
        self.process.send_signal(signal.SIGHUP)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def parent(self):
        return Process(self.process.pid)

    def worker(self):
        """The unprivileged process: the oldest child."""
        return wait_for(lambda: next(iter(self.parent().children()), None),
                        5, f"worker of {self.name}")

    # What it says

    def stderr(self):
        try:
            with open(self.stderr_path) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def ask(self, request="status"):
        """One request to the control socket."""
        path = (f"{self.host.dir}/run/mlvpn/"
                f"{self.conf['general']['interface_name']}.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(15)
            s.connect(path)
            s.sendall(request.encode() + b"\n")
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
        return json.loads(answer)

    status = ask

    def link(self, name):
        """The status of one link, or None."""
        for link in self.status()["links"]:
            if link["name"] == name:
                return link
        return None

    def codel_drops(self):
        """Packets that waited too long in the queue: the line was full, or
        the machine so busy that nobody was there to send them."""
        return self.status()["bond"]["drops"]["codel"]

    def status_if_any(self):
        """The status, or None while there is nobody to ask."""
        try:
            return self.status()
        except (FileNotFoundError, ConnectionError, TimeoutError,
                json.JSONDecodeError):
            return None

    def up_links(self):
        """Names of the links that are up; empty while it starts."""
        status = self.status_if_any() or {"links": []}
        return {link["name"] for link in status["links"]
                if link["state"] == "up"}

    def wait_up(self, links=None, timeout=20):
        """Waits until these links (default: all) are up."""
        wanted = set(links if links is not None else self.conf.links())
        wait_for(lambda: self._still(wanted <= self.up_links()), timeout,
                 f"{self.name}: links {sorted(wanted)} up")
        return self

    def wait_down(self, *links, timeout=20):
        wait_for(lambda: self._still(not set(links) & self.up_links()),
                 timeout, f"{self.name}: links {sorted(links)} down")

    def _still(self, value):
        if not self.running():
            raise AssertionError(f"{self.name} ended with "
                                 f"{self.process and self.process.poll()}\n"
                                 + self.stderr())
        return value

    def wait_log(self, pattern, timeout=10, since=0):
        """Waits for a syslog line; gives (when, text)."""
        return self.host.syslog.wait(pattern, timeout, since)

    def log(self, pattern, since=0):
        return self.host.syslog.find(pattern, since)

    def mark(self):
        return self.host.syslog.mark()

    # The status command

    def record_hooks(self):
        """Sets the status command to a recorder; before start()."""
        events = self.hook_path + ".events"
        open(events, "w").close()
        with open(self.hook_path, "w") as f:
            f.write(HOOK.replace("{path}", events))
        os.chmod(self.hook_path, 0o755)
        self.conf["general"]["statuscommand"] = self.hook_path
        return self

    def hooks(self):
        """Events so far: [{"at": time.time(), "args": [...], "env": {}}]."""
        found, event = [], None
        with open(self.hook_path + ".events") as f:
            for line in f:
                word, _, rest = line.rstrip("\n").partition(" ")
                if word == "at":
                    event = {"at": float(rest), "args": [], "env": {}}
                elif word == "arg" and event:
                    event["args"].append(rest)
                elif word == "env" and event:
                    key, _, value = rest.partition("=")
                    event["env"][key] = value
                elif word == "end" and event:
                    found.append(event)
                    event = None
        return found

    def wait_hook(self, *words, timeout=10, since=0.0):
        """Waits for an event whose arguments contain these words."""
        return wait_for(
            lambda: next((e for e in self.hooks() if e["at"] >= since and
                          set(words) <= set(e["args"])), None),
            timeout, f"{self.name}: hook {words}")


def now():
    """The clock of hook events."""
    return time.time()
