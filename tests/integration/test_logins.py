"""Users of a running server, and that no secret shows anywhere."""

import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from flume.client.health import check_server
from flume.client.session.control_link import AccessChoice, Credentials
from flume.control import messages
from flume.control.session import State
from flume.doctor.examination import Examination
from flume.errors import LoginError, SettingsError
from flume.secret import Secret
from flume.server.access.hashing import make_hash
from flume.settings import ClientSettings, ServerSettings
from support.clients.players import wait_until
from support.clients.watcher import Watcher
from support.clients.wire_client import WireClient, the_rest
from support.paths import ROOT
from support.servers import certificates
from support.servers.running_server import running_server
from support.servers.users import SECRET, write


@pytest.fixture
def files(tmp_path: Path) -> certificates.Files:
    return certificates.write(tmp_path)


@pytest.fixture
def users(tmp_path: Path) -> str:
    return write(tmp_path)


def access(files: certificates.Files, secret: str = SECRET) -> dict:
    return {"tls": True, "ca": files.ca, "user": "ann", "secret": Secret(secret)}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_user_logs_in_and_watches_and_logs_in_again_after_the_connection_was_lost(files, users, transport):
    with (
        running_server(tls_certificate=files.certificate, users=users) as server,
        Watcher(server.port, **access(files), transport=transport) as watcher,
    ):
        watcher.connect()
        wait_until("the stream comes", lambda: watcher.client.statistics().datagrams > 50)
        for connection in tuple(server.server._listener._connections):
            server.loop.call_soon_threadsafe(connection.abort)
        wait_until("it is lost", lambda: watcher.client.statistics().reconnects == 1)
        assert watcher.client.wait_until_state(State.ACTIVE, timeout_s=10)
        assert watcher.client.statistics().commands == ("connect", "connect")


def test_without_a_login_nothing_is_carried_out(files, users):
    with (
        running_server(tls_certificate=files.certificate, users=users) as server,
        WireClient(server.port, tls=files.client) as stranger,
    ):
        for command in ("connect", "status", "interrupt", "continue", "disconnect"):
            reply = stranger.ask(command)
            assert (reply["code"], reply["state"]) == ("login_required", "closed")
            assert "server" not in reply
        assert stranger.ask("login", user="ann", secret="wrong")["code"] == "login_failed"
        assert stranger.ask("login", user="ann")["code"] == "invalid"
        assert stranger.ask("status")["code"] == "login_required"
        assert stranger.ask("login", user="ann", secret=SECRET) == {"reply": "login", "state": "closed"}
        stranger.connect()
        refused = stranger.ask("status")["server"]["refused"]
        assert refused == {"login_failed": 1}
        assert server.server.table.session_count == 1


def test_a_wrong_secret_is_tried_once_and_ends_the_client(files, users):
    with (
        running_server(tls_certificate=files.certificate, users=users) as server,
        Watcher(server.port, **access(files, "another one")) as watcher,
    ):
        with pytest.raises(LoginError, match="no user of this name has this secret"):
            watcher.client.connect()
        assert watcher.client.is_over, "it is not tried again"
        assert not watcher.client.was_played_out
        assert server.server.status().refused == {"login_failed": 1}


def test_a_client_without_a_login_is_told_what_to_give(files, users):
    with (
        running_server(tls_certificate=files.certificate, users=users) as server,
        Watcher(server.port, tls=True, ca=files.ca) as watcher,
    ):
        reply = watcher.client.connect()
        assert isinstance(reply, messages.Refused)
        assert (reply.code, reply.message) == ("login_required", "this server wants a login: give --user")
        assert watcher.client.is_over


def test_a_login_at_a_server_without_users_is_an_error(files):
    with (
        running_server(tls_certificate=files.certificate) as server,
        Watcher(server.port, **access(files)) as watcher,
        pytest.raises(LoginError, match="connect without --user"),
    ):
        watcher.client.connect()


def test_health_check_and_doctor_log_in(files, users):
    ann = AccessChoice(tls=True, ca=files.ca, credentials=Credentials("ann", Secret(SECRET)))
    with running_server(tls_certificate=files.certificate, users=users) as server:
        assert check_server("127.0.0.1", server.port, timeout_s=5, access=ann)[0]
        is_healthy, line = check_server("127.0.0.1", server.port, timeout_s=5, access=ann._replace(credentials=None))
        assert not is_healthy
        assert "this server wants a login" in line
        for choice, finding in ((ann, "ok"), (ann._replace(credentials=None), "login_required")):
            legs = Examination("127.0.0.1", server.port, access=choice).legs()
            assert next(leg for leg in legs if leg.leg == "control").finding == finding
            legs.close()


def test_users_without_tls_are_refused_unless_that_is_permitted(users):
    with pytest.raises(SettingsError, match="anyone on the path reads the secrets"):
        ServerSettings(users=users)
    with (
        running_server(users=users, login_without_tls=True) as server,
        WireClient(server.port) as client,
    ):
        assert client.ask("login", user="ann", secret=SECRET)["reply"] == "login"


# -- users who are removed while they watch ---------------------------------------------------------------------------


def write_users(path: str, **secrets: str) -> None:
    lines = [f"{name}:{make_hash(secret)}\n" for name, secret in secrets.items()]
    fresh = Path(path).with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text("".join(lines))
    fresh.replace(path)


@pytest.mark.parametrize(("transport", "left"), [("udp", {}), ("tcp", {"ann": "another secret"})])
def test_a_user_who_is_removed_or_gets_another_secret_is_told_and_watches_no_more(files, users, transport, left):
    write_users(users, ann=SECRET, bob=SECRET)
    with (
        running_server(tls_certificate=files.certificate, users=users) as server,
        WireClient(server.port, tls=files.client) as other,
        Watcher(server.port, **access(files), transport=transport) as watcher,
    ):
        other.ask("login", user="bob", secret=SECRET)
        other.connect()
        watcher.connect()
        wait_until("the stream comes", lambda: watcher.client.statistics().datagrams > 50, timeout_s=30)
        lines = [line for line in Path(users).read_text().splitlines() if line.startswith("bob:")]
        changed = [f"{name}:{make_hash(secret)}" for name, secret in left.items()]
        Path(users).write_text("".join(f"{line}\n" for line in lines + changed))
        wait_until("it has ended", lambda: watcher.client.is_over, timeout_s=60)
        said = watcher.messages()
        assert "the user of this login was removed, or has another secret now" in said
        assert "no user of this name has this secret" in said, "it tried once more"
        assert set(server.server.status().refused) == {"login_revoked", "login_failed"}
        assert server.server.table.session_count == 1
        other.send_token()
        assert other.ask("status")["state"] == "active", "the other user goes on"


def test_nothing_follows_the_goodbye_to_a_removed_user_and_one_without_a_session_is_told_too(users):
    write_users(users, ann=SECRET, bob=SECRET)
    with (
        running_server(users=users, login_without_tls=True) as server,
        WireClient(server.port) as watching,
        WireClient(server.port) as idle,
    ):
        for client in (watching, idle):
            assert client.ask("login", user="ann", secret=SECRET)["reply"] == "login"
        watching.connect()
        watching.receive(for_s=5, at_least=20)
        write_users(users, bob=SECRET)
        closed = watching.event("closed", timeout_s=60)
        assert (closed["code"], closed["state"]) == ("login_revoked", "closed")
        the_rest(watching)
        watching.send_token()
        assert watching.receive(for_s=0.3) == []
        goodbye = idle.line(timeout_s=60)
        assert (goodbye["reply"], goodbye["code"], goodbye["command"]) == ("error", "login_revoked", None)
        assert watching.line() == idle.line() == {}, "both connections have ended"


def test_a_file_that_cannot_be_used_or_has_more_users_ends_no_session(users, caplog):
    with running_server(users=users, login_without_tls=True) as server, WireClient(server.port) as client:
        assert client.ask("login", user="ann", secret=SECRET)["reply"] == "login"
        client.connect()
        kept = Path(users).read_text()
        Path(users).write_text("half a line")
        wait_until("it was looked at", lambda: "the users as they were before stay" in caplog.text, timeout_s=30)
        Path(users).write_text(f"{kept}bob:{make_hash(SECRET)}\n")
        caplog.set_level(logging.INFO)
        wait_until("bob may log in", lambda: "2 users" in caplog.text, timeout_s=30)
        client.send_token()
        assert client.ask("status")["state"] == "active"


# -- no secret shows ------------------------------------------------------------------------------------------------


def flume(*arguments: str, secret: str, **options: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "services"), "FLUME_SECRET": secret}
    return subprocess.Popen(
        (sys.executable, "-m", "flume.cli", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def test_no_log_status_exception_report_or_process_list_shows_a_secret(files, users, tmp_path, caplog):
    """Right and wrong secrets, with everything logged that can be."""
    caplog.set_level(logging.DEBUG)
    wrong, state = "Tr0ub4dor-and-3", tmp_path / "state.json"
    seen: list[str] = []
    with running_server(tls_certificate=files.certificate, users=users) as server:
        port = str(server.port)
        for secret in (SECRET, wrong):
            options = ("--ca", files.ca, "--user", "ann", "--port", port)
            watch = flume(
                "watch", "127.0.0.1", *options, "--player", "none", "--verbose", "--json", "--state-file", str(state),
                "--script", "connect; wait 0.3; interrupt; disconnect", secret=secret,
            )  # fmt: skip
            seen.append(Path(f"/proc/{watch.pid}/cmdline").read_text())
            said, errors = watch.communicate(timeout=60)
            assert watch.returncode == (secret == wrong), errors
            seen += [said, errors, state.read_text()]
            health = flume("health", "server", "127.0.0.1", *options, secret=secret)
            seen += health.communicate(timeout=60)
            assert health.returncode == (secret == wrong)
        with WireClient(server.port, tls=files.client) as client:
            for fields in (
                {"user": "ann", "secret": wrong, "more": 1},
                {"user": 7, "secret": wrong},
                {"secret": wrong},
            ):
                seen.append(str(client.ask("login", **fields)))
            client.send_raw(b'{"command":"login","user":"ann","secret":"' + wrong.encode() + b'"\n')
            seen.append(str(client.reply()))
        seen.append(repr(server.server.status()))
        with Watcher(server.port, **access(files, wrong)) as watcher:
            with pytest.raises(LoginError) as raised:
                watcher.client.connect()
            seen += [watcher.messages(), repr(watcher.client.statistics())]
        seen += [str(raised.value), repr(raised.value), *traceback.format_exception(raised.value)]
        seen += [repr(ClientSettings(host="a", user="ann", secret=Secret(wrong)))]
        seen += [repr(messages.Login(user="ann", secret=wrong)), repr(Credentials("ann", Secret(wrong)))]
    seen += [record.getMessage() + str(record.args) for record in caplog.records]
    seen.append(caplog.text)
    everything = "\n".join(seen)
    assert "login_failed" in everything
    assert "no user of this name" in everything
    hidden = [line for line in everything.splitlines() if SECRET in line or wrong in line]
    assert hidden == []
    assert "$scrypt$" not in everything
