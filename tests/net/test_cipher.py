"""Ciphers, new keys under load, and settings that do not fit together."""
import os

import pytest

import measure
from frames import Tap
from hello import (HELLO, REASON_AT, REASON_VERSION, REJECT, VERSION_AT,
                   signed)
from lab import BUILD, PASSWORD, Line, wait_for

CIPHERS = ["auto", "aes-256-gcm", "chacha20-poly1305", "none"]


@pytest.mark.parametrize("cipher", CIPHERS)
def test_each_cipher_carries_traffic(make_lab, cipher):
    lab = make_lab([Line("20mbit", delay=5), Line("20mbit", delay=5)])
    client, server = lab.start(cipher=cipher)
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0
    assert measure.tcp(lab.b, lab.a, seconds=1.5, skip=0)["mbps"] > 3
    used = {daemon.link("l1")["cipher"] for daemon in (client, server)}
    assert len(used) == 1
    assert cipher in used or cipher == "auto"
    assert "none" not in used or cipher == "none"


def test_none_is_readable_and_said_so(make_lab):
    """cipher none, and only that, shows the packets on the line."""
    for cipher in ("none", "auto"):
        lab = make_lab([Line(delay=2)])
        client, server = lab.start(cipher=cipher)
        with Tap(lab.lines[0], "a") as tap:
            lab.a.run("ping", "-c", "2", "-p", "6d6c76706e", "-s", "100",
                      "10.200.0.2")
            seen = any(b"mlvpnmlvpn" in d.payload for d in tap.datagrams)
        assert seen == (cipher == "none")
        for daemon in (client, server):
            assert bool(daemon.log("cipher none: everybody .* can read")) == \
                (cipher == "none")
        lab.close()


@pytest.mark.parametrize("cipher", CIPHERS)
def test_new_keys_under_load(make_lab, cipher):
    """Handshakes while packets fly lose none of them."""
    kinds = ("malformed", "auth", "replay")

    def dropped(daemon, name):
        return [daemon.link(name)["drops"][kind] for kind in kinds]

    lab = make_lab([Line("20mbit", delay=10), Line("20mbit", delay=25)])
    client, server = lab.start(cipher=cipher)
    before = {n: client.link(n)["handshakes"] for n in ("l1", "l2")}
    drops = {(d, n): dropped(d, n) for d in (client, server)
             for n in ("l1", "l2")}
    probe = measure.Udp(lab.a, lab.b, rate=400, seconds=4)
    back = measure.Udp(lab.b, lab.a, rate=400, seconds=4)
    for count in (1, 2, 3):
        client.ask("rekey")
        for name in ("l1", "l2"):
            wait_for(lambda n=name, c=count: client.link(n)["handshakes"] >=
                     before[n] + c, 5, f"handshake {count} of {name}")
    for daemon, flow in ((client, probe), (server, back)):
        got = flow.result()
        assert got["lost"] <= daemon.codel_drops(), got
        assert got["duplicates"] == 0
    for daemon in (client, server):
        assert not daemon.log("link l[12]: down")
        for name in ("l1", "l2"):
            assert dropped(daemon, name) == drops[daemon, name]


@pytest.mark.parametrize("client_says, server_says, words", [
    ({"cipher": "none"}, {"cipher": "auto"}, r"cipher"),
    ({"cipher": "auto"}, {"cipher": "none"}, r"cipher"),
    ({"cipher": "aes-256-gcm"}, {"cipher": "chacha20-poly1305"},
     r"cipher .*aes-256-gcm|cipher .*chacha20-poly1305"),
    ({"tuntap": "tap"}, {"tuntap": "tun"}, r"tuntap"),
], ids=["none-auto", "auto-none", "aes-chacha", "tap-tun"])
def test_a_mismatch_is_refused_and_explained(make_lab, client_says,
                                             server_says, words):
    lab = make_lab([Line(delay=2)])
    server = lab.daemon("b", lab.conf("b", **server_says)).start()
    client = lab.daemon("a", lab.conf("a", **client_says)).start()
    for daemon in (client, server):
        daemon.wait_log(rf"link l1: refused: .*{words}", 10)
        assert daemon.up_links() == set()
    client.conf["general"].update(server_says)
    client.restart().wait_up(timeout=15)


def test_two_servers_do_not_speak(make_lab):
    """Two ends with the same mode: no answer, or a log line, but no link."""
    lab = make_lab([Line(delay=2)])
    lab.daemon("b").start()
    conf = lab.conf("a")
    conf["l1"] = {"bindhost": "10.1.0.1", "bindport": 5081}
    conf["general"]["mode"] = "server"
    other = lab.daemon("a", conf).start()
    wait_for(other.status_if_any, 10, "the second server")
    assert other.up_links() == set()


def test_swapped_lines_are_told_apart(make_lab):
    """The client's l1 talks to the server's port of l2."""
    lab = make_lab([Line(delay=2), Line(delay=2)])
    conf = lab.conf("a")
    conf["l1"]["remoteport"], conf["l2"]["remoteport"] = 5082, 5081
    server = lab.conf("b")
    for name in ("l1", "l2"):
        server[name]["bindhost"] = None
    lab.daemon("b", server).start()
    client = lab.daemon("a", conf).start()
    for daemon in lab.daemons:
        daemon.wait_log(r"link l[12]: refused: peer calls this link l[12], "
                        r"this end l[12]: give its section the same name", 10)
    assert client.up_links() == set()


def test_two_clients_do_not_speak(make_lab):
    lab = make_lab([Line(delay=2)])
    confs = {side: lab.conf(side) for side in "ab"}
    confs["a"]["l1"]["bindport"] = 5080
    confs["b"]["general"]["mode"] = "client"
    confs["b"]["l1"].update(remotehost="10.1.0.1", remoteport=5080)
    for side in "ab":
        lab.daemon(side, confs[side]).start()
    for daemon in lab.daemons:
        daemon.wait_log("link l1: refused: both ends have mode = client: set "
                        "mode = client in one file and mode = server in the "
                        "other", 10)
        assert daemon.up_links() == set()


def test_a_wrong_password_is_explained_at_both_ends(make_lab):
    lab = make_lab([Line(delay=2)])
    server = lab.daemon("b").start()
    client = lab.daemon("a", lab.conf("a", password="not the same one")).start()
    server.wait_log(r"link l1: handshake from 10\.1\.0\.1:\d+ ignored: wrong "
                    "password", 10)
    client.wait_log(r"link l1: no answer from 10\.1\.0\.2:5081: .*same "
                    "password", 10)


def test_another_version_of_the_protocol(make_lab):
    """Each end meets a peer of a later release."""
    words = (r"link l1: refused: peer speaks protocol version 2, this end 1: "
             r"install the same release")
    lab = make_lab([Line(delay=2)])
    with lab.b.socket() as peer:
        peer.bind(("10.1.0.2", 5081))
        peer.settimeout(10)
        client = lab.daemon("a").start()

        hellos = []

        def refuse():
            message, address = peer.recvfrom(2048)
            hellos.append(message)
            assert message[0] == HELLO and len(message) == 128
            assert signed(message, PASSWORD, "client") == message
            later = {0: REJECT, VERSION_AT: 2, REASON_AT: REASON_VERSION}
            peer.sendto(signed(message, PASSWORD, "server", message, at=later),
                        address)
            return client.log(words)
        # The first answers may be slow: its socket is another one by then.
        wait_for(refuse, 10, "words about the version")
        client.stop()
    server = lab.daemon("b").start()
    wait_for(server.status_if_any, 10, "the server")
    hello = signed(hellos[0], PASSWORD, "client", at={VERSION_AT: 2})
    with lab.a.socket() as peer:
        peer.settimeout(1)

        def answer():
            try:
                peer.sendto(hello, ("10.1.0.2", 5081))
                return peer.recv(2048)
            except TimeoutError:
                return None  # the server still makes its keys
        reject = wait_for(answer, 10, "an answer")
    assert reject[0] == REJECT and reject[REASON_AT] == REASON_VERSION
    assert signed(reject, PASSWORD, "server", hello) == reject
    server.wait_log(words, 5)


def test_auto_meets_a_named_cipher(make_lab):
    lab = make_lab([Line(delay=2)])
    lab.daemon("b", lab.conf("b", cipher="chacha20-poly1305")).start()
    client = lab.daemon("a").start().wait_up()
    assert client.link("l1")["cipher"] == "chacha20-poly1305"


@pytest.mark.skipif("MLVPN_I386" not in os.environ,
                    reason="no 32-bit build in MLVPN_I386")
@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_32_bit_daemon_talks_to_a_64_bit_one(make_lab, cipher):
    lab = make_lab([Line("20mbit", delay=5), Line("20mbit", delay=5)])
    lab.daemon("b", lab.conf("b", cipher=cipher)).start()
    client = lab.daemon("a", lab.conf("a", cipher=cipher))
    client.build = os.environ["MLVPN_I386"]
    assert client.build != BUILD
    client.start().wait_up()
    assert measure.ping(lab.a, "10.200.0.2", count=5)["lost"] == 0
    assert measure.tcp(lab.a, lab.b, seconds=1.5, skip=0)["mbps"] > 3
