"""Two processes, seen from outside."""
import errno
import os
import pwd
import signal
import socket
import time

import pytest

import measure
from foreign import system_call
from lab import Line, wait_for

AT_FDCWD = (1 << 64) - 100


@pytest.fixture
def pair(make_lab):
    lab = make_lab([Line(delay=2)])
    client, server = lab.start()
    return lab, client, server


def test_the_worker_has_no_rights(pair):
    _, client, server = pair
    for daemon in (client, server):
        worker, parent = daemon.worker(), daemon.parent()
        status = worker.status()
        uid = pwd.getpwnam("mlvpn").pw_uid
        assert set(status["Uid"].split()) == {str(uid)}
        assert set(status["Gid"].split()) == {str(
            pwd.getpwnam("mlvpn").pw_gid)}
        assert status["Groups"].strip() == ""
        for which in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[which], 16) == 0, which
        assert status["NoNewPrivs"] == "1"
        assert parent.uid() == 0


def test_the_worker_is_filtered(pair):
    _, client, _ = pair
    assert client.worker().status()["Seccomp"] == "2"


def test_the_worker_sees_an_empty_root(pair):
    """And nobody can put anything there."""
    lab, client, _ = pair
    worker = client.worker()
    assert worker.root() != "/"
    assert worker.root_entries() == []
    with pytest.raises(OSError):
        with open(f"/proc/{worker.pid}/root/file", "w"):
            pass
    assert not [name for name in os.listdir(f"{lab.a.dir}/run")
                if name not in ("mlvpn", "lab")], "the directory is unlinked"


def test_the_worker_has_only_its_descriptors(pair):
    """Sockets, the tunnel, event and timer descriptors: no file, no
    directory, nothing of /proc."""
    _, client, _ = pair
    for fd, target in client.worker().fds().items():
        assert target.startswith(("socket:", "anon_inode:", "pipe:",
                                  "/dev/net/tun", "/dev/null")) or \
            "/dev/net/tun" in target or (
                fd <= 2 and target.endswith(".stderr")), (fd, target)


def test_the_parent_holds_no_network_socket(pair):
    """It never reads a byte from the network: once handed over, the sockets
    of the links and the device are the worker's alone."""
    lab, client, _ = pair
    owners = lab.a.run("ss", "-uanpH").stdout
    assert f"pid={client.worker().pid}," in owners
    assert f"pid={client.parent().pid}," not in owners


@pytest.mark.parametrize("victim", ["parent", "worker"])
def test_no_process_outlives_the_other(pair, victim):
    lab, client, _ = pair
    worker = client.worker()
    start = time.monotonic()
    getattr(client, victim)().kill(signal.SIGKILL)
    status = client.process.wait(20)
    wait_for(lambda: not worker.alive(), 3, "the end of the worker", poll=0.01)
    assert time.monotonic() - start < 5
    assert status != 0
    wait_for(lambda: "mlvpn0" not in lab.a.shell("ip -br link"), 2,
             "the end of the device")


def test_a_stopped_worker_does_not_hang_the_parent(pair):
    """SIGTERM works while the worker does not answer."""
    _, client, _ = pair
    client.worker().kill(signal.SIGSTOP)
    client.process.terminate()
    client.process.wait(20)


def test_the_worker_crashes_and_a_manager_restarts(pair):
    lab, client, server = pair
    client.worker().kill(signal.SIGSEGV)
    assert client.process.wait(20) != 0
    client.start()
    client.wait_up()
    wait_for(lambda: measure.ping(lab.a, "10.200.0.2", count=1,
                                  wait=0.5)["received"], 10, "the tunnel")
    assert server.running()


def test_a_status_command_that_others_can_write_is_refused(make_lab):
    lab = make_lab([Line(delay=2)])
    client = lab.daemon("a").record_hooks()
    os.chmod(client.hook_path, 0o777)
    lab.daemon("b").start()
    client.start().wait_up()
    client.wait_log("statuscommand .*not run", 5)
    assert client.hooks() == []


def test_a_status_command_gets_a_fixed_environment(make_lab):
    lab = make_lab([Line(delay=2)])
    client = lab.daemon("a", env={"SECRET": "1", "LD_DEBUG_TEST": "1"})
    client.record_hooks()
    lab.daemon("b").start()
    client.start().wait_up()
    event = client.wait_hook("rtun_up")
    assert event["args"] == ["mlvpn0", "rtun_up", "l1"]
    assert "SECRET" not in event["env"]
    assert "LD_DEBUG_TEST" not in event["env"]
    assert event["env"]["PATH"]


def test_a_status_command_that_hangs_is_ended(make_lab):
    """The tunnel goes on meanwhile, and the daemon ends in time."""
    lab = make_lab([Line(delay=2)])
    client = lab.daemon("a").record_hooks()
    with open(client.hook_path, "w") as f:
        f.write("#!/bin/sh\nexec sleep 1000\n")
    lab.daemon("b").start()
    client.start().wait_up()
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0
    client.stop(timeout=15)


def test_it_tells_a_service_manager(make_lab):
    """READY=1 once it runs, STOPPING=1 at the end, RELOADING=1 between."""
    lab = make_lab([Line(delay=2)])
    path = f"{lab.a.dir}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        client = lab.daemon("a", env={"NOTIFY_SOCKET": path}).start()
        heard = b""
        for word, act in ((b"READY=1", client.reload),
                          (b"RELOADING=1", lambda: None),
                          (b"READY=1", client.process.terminate),
                          (b"STOPPING=1", lambda: None)):
            while word not in heard:
                heard = manager.recv(4096)
            heard = b""
            act()
        assert client.process.wait(20) == 0


@pytest.mark.parametrize("name, text, args", [
    ("openat", b"/etc/passwd", (AT_FDCWD, "text", os.O_RDONLY)),
    ("openat", b"file", (AT_FDCWD, "text", os.O_RDWR | os.O_CREAT, 0o600)),
    ("open", b"/proc/self/status", ("text", os.O_RDONLY)),
    ("execve", b"/bin/sh", ("text", 0, 0)),
    ("socket", b"", (socket.AF_INET, socket.SOCK_RAW, 1)),
    ("setuid", b"", (0,)),
    ("fork", b"", ()),
    ("kill", b"", ((1 << 64) - 1, 0)),
    ("ptrace", b"", (0, 0, 0, 0)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_worker_that_was_taken_over_can_do_nothing(pair, name, text, args):
    """Whoever runs his own code in the worker opens no file, starts no
    program and gets no other socket."""
    _, client, _ = pair
    worker = client.worker()
    result = system_call(worker.pid, name, text, *args)
    assert result is None or result in (-errno.EPERM, -errno.EACCES,
                                        -errno.ENOENT, -errno.ENOSYS)
