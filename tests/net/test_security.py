"""What an attacker on the line or far away can do: nothing."""
import os
import socket
import time

import pytest

import measure
from frames import Datagram, Tap
from hello import DATA, HELLO, REJECT, REPLY
from lab import Line, wait_for

def drops(daemon, name="l1"):
    return daemon.link(name)["drops"]


def settled(lab, client, server):
    """Nothing happened: the tunnel works, and no link was ever down."""
    assert measure.ping(lab.a, "10.200.0.2", count=10)["lost"] == 0
    for daemon in (client, server):
        assert not daemon.log("link l1: (down|peer moved)")
        assert daemon.link("l1")["flaps"] == 0


def wait_dropped(daemon, kind, before, count):
    wait_for(lambda: drops(daemon)[kind] >= before[kind] + count, 5,
             f"{count} drops counted as {kind}")


def test_a_wrong_password_gets_no_answer(make_lab):
    lab = make_lab([Line(delay=2)])
    server = lab.daemon("b").start()
    client = lab.daemon("a", lab.conf("a", password="another password here"))
    with Tap(lab.lines[0], "b") as from_server:
        wait_for(server.status_if_any, 10, "the server")
        client.start()
        server.wait_log("link l1: .*wrong password", 10)
        wait_for(lambda: drops(server)["auth"] >= 2, 10, "two hellos dropped")
        assert not from_server.datagrams
    assert client.up_links() == set()
    # The administrator mends it, and needs to do nothing else.
    client.reload(lab.conf("a"))
    client.wait_up(timeout=15)


def test_a_replayed_hello_is_answered_once_a_second_at_most(make_lab):
    lab = make_lab([Line(delay=2)])
    line = lab.lines[0]
    server = lab.daemon("b").start()
    wait_for(server.status_if_any, 10, "the server")
    with Tap(line, "a") as from_client, Tap(line, "b") as to_server:
        client = lab.daemon("a").start().wait_up()
        hello = next(d for d in from_client.datagrams
                     if d.payload[0] == HELLO)
        server.wait_up()
        to_server.datagrams.clear()
        start = time.monotonic()
        for _ in range(300):
            to_server.inject(hello, hello.but(src="10.1.0.99"))
            time.sleep(0.01)
        took = time.monotonic() - start
        time.sleep(0.2)  # answers of the last ones
        answers = [d for d in to_server.datagrams
                   if d.payload[0] in (REPLY, REJECT)]
    assert len(answers) <= took + 2, (answers, took)
    assert all(len(d.payload) <= len(hello.payload) for d in answers)
    settled(lab, client, server)


@pytest.mark.parametrize("cipher", ["auto", "none"])
def test_handshakes_sent_back_to_their_sender(make_lab, cipher):
    """Nobody takes his own words, or answers his own challenge."""
    lab = make_lab([Line(delay=2)])
    with Tap(lab.lines[0], "a") as at_a, Tap(lab.lines[0], "b") as at_b:
        client, server = lab.start(cipher=cipher)
        for victim, tap in ((client, at_a), (server, at_b)):
            mine = [d for d in tap.datagrams if d.payload[0] < DATA]
            assert mine
            before = drops(victim)
            tap.datagrams.clear()
            tap.inject(*[d.reflected() for d in mine])
            wait_for(lambda: sum(drops(victim).values()) >=
                     sum(before.values()) + len(mine), 5, "reflections")
            assert not [d for d in tap.datagrams if d.payload[0] < DATA]
    settled(lab, client, server)


def captured_data(lab, tap, source, to, count=20):
    """Datagrams that carry pings of the tunnel."""
    tap.datagrams.clear()
    measure.ping(source, to, count=count)
    wait_for(lambda: len([d for d in tap.datagrams
                          if d.payload[0] == DATA]) >= count, 3, "data")
    return [d for d in tap.datagrams if d.payload[0] == DATA]


def test_replayed_flipped_and_reflected_packets(make_lab):
    """Both routers, every packet: dropped and counted, and no answer."""
    lab = make_lab([Line(delay=2)])
    line = lab.lines[0]
    client, server = lab.start()
    with Tap(line, "a") as at_a, Tap(line, "b") as at_b:
        for victim, tap, far, peer in (
                (server, at_b, at_a, lab.a), (client, at_a, at_b, lab.b)):
            to = measure.inner(victim.host)
            data = captured_data(lab, far, peer, to)
            inner = victim.status()["bond"]["rx_packets"]

            before = drops(victim)
            tap.inject(*data)
            wait_dropped(victim, "replay", before, len(data))

            before = drops(victim)
            for bit in range(8, len(data[0].payload) * 8):
                tap.inject(data[0].flipped(bit))
            flips = len(data[0].payload) * 8 - 8
            wait_for(lambda: sum(drops(victim).values()) >=
                     sum(before.values()) + flips, 5, "all flips dropped")

            mine = captured_data(lab, tap, victim.host,
                                 measure.inner(peer), 10)
            before = drops(victim)
            tap.inject(*[d.reflected() for d in mine])
            wait_for(lambda: sum(drops(victim).values()) >=
                     sum(before.values()) + len(mine), 5, "reflections")

            # Only our pings: 20 requests, 10 answers, and a few of the kernel.
            after = victim.status()["bond"]["rx_packets"]
            assert after - inner < 40
    settled(lab, client, server)


def test_a_flip_of_the_type_is_no_other_packet(make_lab):
    """The first byte: any type, with the rest of a true packet."""
    lab = make_lab([Line(delay=2)])
    client, server = lab.start()
    with Tap(lab.lines[0], "a") as at_a, Tap(lab.lines[0], "b") as at_b:
        data = captured_data(lab, at_a, lab.a, "10.200.0.2")
        at_b.datagrams.clear()
        at_b.inject(*[data[0].but(payload=bytes([kind]) + data[0].payload[1:])
                      for kind in range(256)])
        settled(lab, client, server)
        assert not [d for d in at_b.datagrams if d.payload[0] in
                    (REPLY, REJECT)]


def test_a_replay_from_elsewhere_moves_nothing(make_lab):
    """A true packet, held back by the attacker and sent first from his own
    address, does not turn the traffic to him: he cannot answer the probe."""
    lab = make_lab([Line(delay=2)])
    line = lab.lines[0]
    client, server = lab.start()
    lab.b.ip(f"neigh replace 10.1.0.66 lladdr {line.mac('a')} dev wan1")
    with Tap(line, "a") as at_a, Tap(line, "b") as at_b:
        line.cut("up")
        at_a.datagrams.clear()
        for _ in range(5):
            lab.a.run("ping", "-c", "1", "-W", "0.05", "10.200.0.2",
                      check=False)
        held = [d for d in at_a.datagrams if d.payload[0] == DATA]
        at_b.datagrams.clear()
        at_b.inject(*[d.but(src="10.1.0.66") for d in held])
        time.sleep(0.3)
        line.heal()
        to_attacker = [d for d in at_b.datagrams if d.dst == "10.1.0.66"]
    sent = sum(len(d.payload) for d in held)
    got = sum(len(d.payload) for d in to_attacker)
    assert got <= sent, "no more than he sent"
    settled(lab, client, server)


def test_twenty_thousand_random_datagrams_get_no_answer(make_lab):
    lab = make_lab([Line(delay=2)])
    line = lab.lines[0]
    client, server = lab.start()
    with Tap(line, "b") as at_b:
        before = drops(server)
        at_b.datagrams.clear()
        for n in range(20000):
            size = 1 + n * 7 % 1400
            payload = os.urandom(size)
            if n % 2:  # as near to a true one as a stranger can come
                payload = bytes([n % 8]) + payload[1:]
            at_b.inject(Datagram(f"10.1.0.{100 + n % 100}", 1024 + n % 5000,
                                 line.b4, 5081, payload))
            if n % 500 == 499:  # let it keep up: each must be judged
                wait_for(lambda: sum(drops(server).values()) -
                         sum(before.values()) >= 0.98 * n, 5, "its judgement")
        strangers = [d for d in at_b.datagrams if d.dst != line.a4]
    assert not strangers, strangers[:5]
    settled(lab, client, server)
    # What anybody can cause must not fill the log.
    assert len(server.log("")) < 100


def test_a_stranger_between_two_real_packets(make_lab):
    """Forged sender: the client's own address and port, random content."""
    lab = make_lab([Line(delay=2)])
    line = lab.lines[0]
    client, server = lab.start()
    port = int(server.link("l1")["peer"].rsplit(":", 1)[1])
    load = measure.Udp(lab.a, lab.b, rate=200, seconds=2)
    with Tap(line, "b") as at_b:
        for n in range(1000):
            at_b.inject(Datagram(line.a4, port, line.b4, 5081,
                                 os.urandom(20 + n % 1000)))
            time.sleep(0.001)
    assert load.result()["lost"] <= client.codel_drops()
    settled(lab, client, server)


def test_blind_injection_without_cipher(make_lab):
    """cipher = none: the session number keeps a blind sender out."""
    lab = make_lab([Line(delay=2)])
    line = lab.lines[0]
    client, server = lab.start(cipher="none")
    port = int(server.link("l1")["peer"].rsplit(":", 1)[1])
    with Tap(line, "a") as at_a, Tap(line, "b") as at_b:
        data = captured_data(lab, at_a, lab.a, "10.200.0.2")[-1]
        inner = server.status()["bond"]["rx_packets"]
        for n in range(500):
            session = os.urandom(8)
            payload = (data.payload[:2] + (n + 10**6).to_bytes(6, "big") +
                       session + data.payload[16:])
            at_b.inject(Datagram(line.a4, port, line.b4, 5081, payload))
        replay = drops(server)
        at_b.inject(data)
        wait_dropped(server, "replay", replay, 1)
        assert server.status()["bond"]["rx_packets"] - inner < 20
    settled(lab, client, server)


def test_the_control_socket_is_roots(make_lab):
    lab = make_lab([Line(delay=2)])
    client, _ = lab.start()
    path = f"{lab.a.dir}/run/mlvpn/mlvpn0.sock"
    info = os.stat(path)
    assert info.st_uid == 0 and info.st_mode & 0o777 == 0o660
    for request in (b"", b"\n", b"nonsense\n", b"x" * 5000, b"status"):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(3)
            s.connect(path)
            try:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert client.status()["links"][0]["state"] == "up"
