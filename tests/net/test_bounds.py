"""What it costs to run."""
import time

import pytest

import measure
from lab import Line, wait_for

IDLE = 6


def least_step(series):
    """What is added at every step at least."""
    return min(after - before for before, after in zip(series, series[1:]))


@pytest.mark.measure
def test_an_idle_tunnel_costs_nothing(make_lab):
    """Three lines: under 3 MB of private memory a process, under 5 wake-ups
    a second, under 0.5 kbit/s a line and direction."""
    lab = make_lab([Line("10mbit", delay=10) for _ in range(3)])
    daemons = lab.start()
    time.sleep(2)  # the kernel's own first words have passed
    processes = [(f"{d.name} {kind}", getattr(d, kind)())
                 for d in daemons for kind in ("parent", "worker")]
    lab.reset()
    before = {name: p.wakeups() for name, p in processes}
    time.sleep(IDLE)
    wakes = {name: (p.wakeups() - before[name]) / IDLE
             for name, p in processes}
    stats = lab.stats()
    memory = {name: p.private_kb() for name, p in processes}
    print(wakes, memory)
    assert max(wakes.values()) < 5, wakes
    assert max(memory.values()) < 3 * 1024, memory
    for line in stats.values():
        for direction in ("up", "down"):
            assert line[direction]["in_bytes"] * 8 / IDLE < 500, line


@pytest.mark.measure
def test_load_leaves_no_memory_behind(make_lab):
    """A leak would grow with every load; the first ones fill buffers."""
    lab = make_lab([Line("100mbit", delay=10) for _ in range(2)])
    client, server = lab.start()
    seen = []
    for _ in range(4):
        measure.tcp(lab.a, lab.b, seconds=1, skip=0, parallel=4)
        time.sleep(0.5)
        seen.append([d.worker().private_kb() for d in (client, server)])
    for kb in zip(*seen):
        assert least_step(kb) < 256, seen
        assert kb[-1] < 64 * 1024


def test_handshakes_and_flaps_leak_nothing(make_lab):
    """A day's worth of handshakes for three lines, speeded up by having
    sixteen."""
    lab = make_lab([Line(delay=1) for _ in range(16)])
    client, server = lab.start(timeout=1)

    def cycle(count):
        for _ in range(count):
            shakes = client.link("l1")["handshakes"]
            client.ask("rekey")
            wait_for(lambda: client.link("l1")["handshakes"] > shakes, 5,
                     "new keys")

    def flap():
        mark = client.mark()
        for line in lab.lines[8:]:
            line.cut()
        for line in lab.lines[8:]:
            client.wait_log(f"link {line.name}: down", 5, mark)
            line.heal()
        client.wait_up(timeout=8)
        server.wait_up(timeout=8)

    cycle(2)
    flap()
    processes = [p for d in (client, server) for p in (d.worker(), d.parent())]
    fds = [len(p.fds()) for p in processes]
    memory = [[p.private_kb() for p in processes]]
    for _ in range(3):
        cycle(2)
        flap()
        memory.append([p.private_kb() for p in processes])
    for kb in zip(*memory):
        assert least_step(kb) < 40, memory
    wait_for(lambda: [len(p.fds()) for p in processes] == fds, 3,
             "as many descriptors as before")
