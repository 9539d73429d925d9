"""Words for administrators: the log, the title, the command line."""
import json
import os
import re
import subprocess

import pytest

import measure
from lab import BUILD, PASSWORD, Line, wait_for

MLVPN = f"{BUILD}/src/mlvpn"


def run(*args, **options):
    return subprocess.run([MLVPN, *args], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **options)


def test_link_lines_are_stable(make_lab):
    lab = make_lab([Line(delay=10)])
    client, server = lab.start(timeout=1)
    for daemon in (client, server):
        daemon.wait_log(": bond: up$", 5)  # the status may be earlier
        lines = daemon.log("link l1: up")
        assert len(lines) == 1
        assert re.search(r"^mlvpn-[ab](\[\d+\])?: link l1: up, peer "
                         r"10\.1\.0\.[12]:\d+, rtt ([2-9]\d|\d{3}) ms$",
                         lines[0])
        assert len(daemon.log(r": bond: up$")) == 1
    marks = {daemon: daemon.mark() for daemon in (client, server)}
    lab.lines[0].cut()
    for daemon, mark in marks.items():
        daemon.wait_log("bond: down$", 5, mark)
        lines = daemon.log("link l1: down", mark)
        assert len(lines) == 1
        assert re.search(r": link l1: down, peer 10\.1\.0\.[12]:\d+, rtt "
                         r"\d+ ms, no answer for 1 s$", lines[0])


def test_no_secret_in_log_title_or_status(make_lab):
    lab = make_lab([Line(delay=2)])
    client, server = lab.start(loglevel="debug")
    client.ask("rekey")
    client.reload()
    measure.ping(lab.a, "10.200.0.2", count=2)
    text = (lab.report() + client.parent().title() + client.worker().title() +
            str(client.status()) + str(server.status()))
    assert PASSWORD not in text


def test_the_title_shows_the_links(make_lab):
    lab = make_lab([Line(delay=2), Line(delay=2)])
    client, _ = lab.start(timeout=1)
    wait_for(lambda: re.search("l1 up, l2 up", client.worker().title()), 5,
             "both links in the title")
    lab.lines[1].cut()
    wait_for(lambda: re.search("l1 up, l2 down", client.worker().title()), 5,
             "a dead link in the title")
    assert "mlvpn" in client.parent().title()


def test_the_title_stays_natural(make_lab):
    lab = make_lab([Line(delay=2)])
    lab.daemon("b").start()
    client = lab.daemon("a", args=["--natural-title"]).start().wait_up()
    for process in (client.parent(), client.worker()):
        assert process.title().startswith(MLVPN), process.title()
        assert "up" not in process.title().split()


def test_version_and_help():
    for option in ("-V", "--version"):
        done = run(option)
        assert done.returncode == 0 and re.search(r"\d+\.\d+", done.stdout)
    for option in ("-h", "--help"):
        done = run(option)
        assert done.returncode == 0
        for word in ("--background", "--config", "--name", "--pidfile",
                     "--user", "--verbose", "--natural-title",
                     "--yes-run-as-root", "--debug", "--test"):
            assert word in done.stdout, word
    assert run("--nonsense").returncode != 0


def conf_file(tmp_path, text):
    path = tmp_path / "mlvpn.conf"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


GOOD = """[general]
mode = client
password = "0123456789abcdef0123"
[dsl]
remotehost = 192.0.2.1
remoteport = 5080
"""


def test_a_file_is_tested(tmp_path):
    assert run("-t", "-c", conf_file(tmp_path, GOOD)).returncode == 0
    bad = GOOD.replace("5080", "508000").replace("client", "clint") + "x = 1\n"
    done = run("-t", "-c", conf_file(tmp_path, bad))
    assert done.returncode == 1
    found = set(re.findall(r"mlvpn\.conf:(\d+)", done.stdout))
    assert found == {"2", "6", "7"}, done.stdout  # all of them at once
    assert run("-t", "-c", str(tmp_path / "none")).returncode == 1


def test_a_proposed_file_works(tmp_path):
    done = run("--genconf")
    assert done.returncode == 0
    path = conf_file(tmp_path, done.stdout)
    checked = run("-t", "-c", path)
    assert checked.returncode == 0, checked.stdout
    secret = re.search(r"^password\s*=\s*\"?([^\"\n]+)", done.stdout, re.M)
    assert len(secret[1]) >= 20
    assert secret[1] not in run("--genconf").stdout


def test_a_short_password_draws_a_warning(make_lab):
    lab = make_lab([Line(delay=2)])
    client = lab.daemon("a", lab.conf("a", password="short")).start()
    client.wait_log("password", 5)


def test_background_and_pidfile(make_lab):
    """-b returns when the tunnel device is there; the file has the pid."""
    lab = make_lab([Line(delay=2)])
    lab.daemon("b").start()
    client = lab.daemon("a", args=["-b", "-p", f"{lab.a.dir}/run/pid"])
    client.start()
    assert client.process.wait(20) == 0
    with open(f"{lab.a.dir}/run/pid") as f:
        pid = int(f.read())
    assert "mlvpn0" in lab.a.shell("ip -br link")
    client.wait_log("link l1: up", 10)
    os.kill(pid, 15)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 5, "its end")
    assert not os.path.exists(f"{lab.a.dir}/run/pid")


def test_debug_goes_to_stderr(make_lab):
    lab = make_lab([Line(delay=2)])
    lab.daemon("b").start()
    client = lab.daemon("a", args=["--debug"]).start()
    wait_for(lambda: "link l1: up" in client.stderr(), 10, "stderr")
    assert not lab.a.syslog.lines


@pytest.mark.parametrize("user, fine", [("root", False), ("nobodyatall",
                                                          False),
                                        ("nobody", True)])
def test_the_user_of_the_worker(make_lab, user, fine):
    lab = make_lab([Line(delay=2)])
    lab.daemon("b").start()
    client = lab.daemon("a", args=["-u", user]).start()
    if fine:
        client.wait_up()
        assert client.worker().uid() == 65534
    else:
        assert client.process.wait(20) != 0


def test_running_as_root_must_be_said(make_lab):
    lab = make_lab([Line(delay=2)])
    lab.daemon("b").start()
    client = lab.daemon("a", args=["-u", "root", "--yes-run-as-root"])
    client.start().wait_up()
    assert client.worker().uid() == 0


def test_a_name_clash_is_a_clear_error(make_lab):
    lab = make_lab([Line(delay=2)])
    lab.daemon("a").start()
    wait_for(lambda: "mlvpn0" in lab.a.shell("ip -br link"), 5, "the device")
    second = lab.daemon("a", name="second").start()
    assert second.process.wait(20) != 0
    assert "mlvpn0" in lab.a.syslog.text() + second.stderr()


def test_a_file_others_can_read_is_mentioned(make_lab):
    lab = make_lab([Line(delay=2)])
    client = lab.daemon("a")
    client.write_conf()
    os.chmod(client.conf_path, 0o644)
    client.write_conf = lambda conf=None: None  # keeps it so
    client.start()
    wait_for(lambda: re.search(r"a\.conf.*(read|permission|mode)",
                               lab.a.syslog.text() + client.stderr()), 5,
             "a word about the file")


def test_mlvpnctl_asks_and_tells(make_lab):
    ctl = f"{BUILD}/src/mlvpnctl"
    lab = make_lab([Line("10mbit", delay=5), Line("10mbit", delay=5)])
    lab.a.shell(f"! {ctl} 2>&1")
    client, _ = lab.start()
    table = lab.a.run(ctl).stdout
    for name in ("l1", "l2", "bond"):
        assert re.search(rf"^{name} +up ", table, re.M), table
    assert json.loads(lab.a.run(ctl, "-j").stdout)["mode"] == "client"
    shakes = client.link("l1")["handshakes"]
    lab.a.run(ctl, "rekey")
    wait_for(lambda: client.link("l1")["handshakes"] > shakes, 5, "new keys")
    lab.a.run(ctl, "reload")
    client.write_conf(str(client.conf) + "colour = blue\n")
    refused = lab.a.run(ctl, "reload", check=False)
    assert refused.returncode == 1
    assert re.search(r"line \d+|:\d+", refused.stdout + refused.stderr)


def test_the_status_tells_what_was_decided(make_lab):
    """Under load, with a slow line that loses and then dies."""
    ctl = f"{BUILD}/src/mlvpnctl"
    lab = make_lab([Line("4mbit", delay=5),
                    Line("4mbit", delay=25, up=dict(loss=5, burst=1))])
    client, server = lab.start()
    load = measure.Udp(lab.a, lab.b, rate=700, size=1000, seconds=60)
    wait_for(lambda: client.link("l2")["lost"] > 5 and
             server.link("l2")["lost_rx"] > 5, 20, "losses of the line")
    mine, peers = client.status(), server.status()
    for link, peer in zip(mine["links"], peers["links"]):
        assert link["use"] == "full" and link["health"]["state"] == "fit"
        assert 0 < link["rate_tx_Bps"] <= link["rate_conf_Bps"]
        assert link["in_flight"] < 1000 and link["delay_excess_ms"] >= 0
        assert peer["duplicates"] <= peers["bond"]["order"]["duplicates"]
        assert peer["late"] <= peers["bond"]["order"]["late"]
    fast, slow = mine["links"]
    assert fast["delay_rel_ms"] < slow["delay_rel_ms"]
    resends, reports = mine["bond"]["resends"], mine["bond"]["reports"]
    assert 0 < resends["resent"] <= resends["lost"]
    assert fast["resent"] + slow["resent"] == resends["resent"]
    assert 0 < reports["received"] and 0 < peers["bond"]["reports"]["sent"]
    assert reports["bad"] == 0
    assert peers["links"][0]["held"] > 0
    memory = mine["bond"]["memory"]
    assert 0 < memory["retain_bytes"] < memory["pool_bytes"]
    assert memory["pool_bytes"] <= memory["limit_bytes"]
    assert re.search(r"^l1 +up +all ", lab.a.run(ctl).stdout, re.M)
    lab.lines[1].cut()
    wait_for(lambda: client.link("l2")["trials"] > 0, 5,
             "a word about the dead line")
    assert client.link("l2")["use"] in ("trial", "none")
    table = lab.a.run(ctl).stdout
    assert re.search(r"^l2 +(up +on trial: |down +- )", table, re.M), table
    load.stop()


def test_the_shipped_example_works(make_lab):
    """mlvpn.conf.example with the two things filled in."""
    here = os.path.dirname(os.path.abspath(__file__))
    example = os.path.join(here, "..", "..", "mlvpn.conf.example")
    with open(example) as f:
        text = f.read()
    assert re.search(r"^\s*password\s*=", text, re.M)
    lab = make_lab([Line(delay=2)])
    text = re.sub(r"^(\s*password\s*=).*", rf'\1 "{PASSWORD}"', text,
                  flags=re.M)
    path = f"{lab.a.dir}/example.conf"
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)
    done = lab.a.run(MLVPN, "-t", "-c", path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
