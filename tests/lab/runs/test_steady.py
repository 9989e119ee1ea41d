"""All clients watch from beginning to end: no datagram leaks or is lost, and the frames are displayed."""

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

FRAMES_MIN_PCT = 95
"""An idle computer displays 99 % and more (figure in the README). A shared one must not fail because of other load."""


def test_five_clients_at_4_mbit_lose_nothing_and_see_the_picture(lab):
    done = lab.run("--clients", 5, "--scenario", "steady", "--duration", 30, "--frames-min", FRAMES_MIN_PCT)
    assert done.returncode == 0, done.stdout + done.stderr
    report = lab.report()
    assert report["balance"]["unexplained"] == 0
    for client in report["clients"]:
        assert client["datagrams_leaked"] == 0
        assert client["datagrams_lost"] == 0
        # On a busy computer a client connects later, and its window is shorter.
        window_s = sum(closed_s - opened_s for opened_s, closed_s in client["active_windows"])
        assert window_s > 20
        assert client["datagrams_active"] > window_s * 350, "4 Mbit/s are 380 datagrams a second"
        assert client["frames_due"] == pytest.approx(window_s * 25, abs=25)
        assert client["frames_displayed"] >= client["frames_due"] * FRAMES_MIN_PCT / 100
