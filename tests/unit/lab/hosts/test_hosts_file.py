"""The hosts file: what is read, every mistake in one line that names file, line, host and cure, and dealing clients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import SettingsError
from flume.lab.hosts.hosts_file import HostEntry, HostsFile, deal_clients, load_hosts, ssh_address

TWO = """
[[host]]
name = "desk"
docker = "unix:///var/run/docker.sock"
server = true

[[host]]
name = "rack"
docker = "ssh://ann@rack.example:2222"
weight = 2
"""


def test_a_file_of_two_hosts() -> None:
    hosts = load_hosts(TWO, name="lab/hosts.toml")
    assert [host.name for host in hosts.hosts] == ["desk", "rack"]
    assert hosts.server.name == "desk"
    assert str(hosts.path("certs")) == "lab/certs"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "must be TOML"),
        ("", r"\[\[host\]\]"),
        ("host = 3", r"\[\[host\]\]"),
        ('[host]\nname = "a"', r"\[\[host\]\]"),
        (TWO + "[server]\n", "line 11: the key server is unknown"),
        (TWO + "sever = true\n", "line 11: host 'rack' has the unknown key sever: the keys are name, docker, server"),
        (TWO + 'name = "more"\n', "must be TOML"),
        (TWO + "server = true\n", "server = true, and 'desk' and 'rack' both have it"),
        (TWO.replace("server = true", ""), "server = true, and none has it"),
        (TWO.replace('"rack"', '"desk"'), "two hosts have name = 'desk'"),
        (TWO.replace("ssh://ann@rack.example:2222", "unix:///var/run/docker.sock"), "'desk' and 'rack'"),
        (TWO.replace('name = "rack"\n', ""), "host number 2: .*missing required field `name`"),
        (TWO.replace('"rack"', '"a b"'), "line 8: host 'a b': name='a b' is not possible: letters"),
        (TWO.replace('"rack"', "7"), "line 8: host number 2: name: Expected `str`, got `int`"),
        (TWO.replace("weight = 2", 'weight = "2"'), "line 10: host 'rack': weight: Expected"),
        (TWO.replace("weight = 2", "weight = -1"), "line 10: host 'rack': weight=-1"),
        (TWO.replace("weight = 2", "weight = inf"), "weight=inf"),
        (TWO.replace("weight = 2", "weight = nan"), "weight=nan"),
        (TWO.replace("weight = 2", "clients = -1"), "clients=-1"),
        (TWO.replace("weight = 2", "clients = 1.5"), "clients: Expected `int"),
        (TWO + "clients = 3\n", "weight=2.0 is not possible: absent beside clients"),
        (TWO + 'tls = "certs"\n', "tls='certs' is not possible: absent"),
        (TWO.replace("ssh://ann@rack.example:2222", "rack"), r'line 9: host \'rack\': docker=.*"ssh://user@host"'),
        (TWO.replace("ssh://ann@rack.example:2222", "https://rack"), "docker="),
        (TWO.replace("ssh://ann@rack.example:2222", "ssh://"), "docker="),
        (TWO.replace("ssh://ann@rack.example:2222", "ssh://-oProxyCommand=x"), "such as ssh://user@host"),
        (TWO.replace("ssh://ann@rack.example:2222", "ssh://a:secret@rack"), "without a password"),
        (TWO.replace("ssh://ann@rack.example:2222", "ssh://rack:99999"), "docker="),
        (TWO.replace("ssh://ann@rack.example:2222", "tcp://rack"), "with a host and a port"),
        (TWO.replace("ssh://ann@rack.example:2222", "tcp://rack:x"), "docker="),
        (TWO.replace("ssh://ann@rack.example:2222", "tcp://rack:2376") + "tls = true\n", "tls=True"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_place(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        load_hosts(text, name="my/hosts.toml")
    assert str(caught.value).startswith("HOSTS='my/hosts.toml' is not possible: ")
    assert "\n" not in str(caught.value)


def test_more_hosts_than_swarms_own_addresses_are_refused() -> None:
    text = "".join(f'[[host]]\nname = "h{number}"\ndocker = "ssh://h{number}"\n' for number in range(31))
    with pytest.raises(SettingsError, match="at most 30 hosts, and there are 31"):
        load_hosts(text.replace("h0", "first", 1) + "server = true\n", name="hosts.toml")


def test_what_ssh_is_given() -> None:
    assert ssh_address("ssh://rack") == ("rack", None, "/var/run/docker.sock")
    assert ssh_address("ssh://rack/").socket == "/var/run/docker.sock"
    assert ssh_address("ssh://ann@rack/run/user/7/docker.sock") == ("ann@rack", None, "/run/user/7/docker.sock")
    assert ssh_address("ssh://ann@[fe80::1]:22") == ("ann@fe80::1", 22, "/var/run/docker.sock")


# Dealing


def hosts_of(*hosts: tuple[int | None, float | None]) -> HostsFile:
    entries = (
        HostEntry(name=f"h{number}", docker=f"unix:///{number}", server=number == 0, clients=clients, weight=weight)
        for number, (clients, weight) in enumerate(hosts)
    )
    return HostsFile("hosts.toml", tuple(entries))


def dealt(clients: int, *hosts: tuple[int | None, float | None]) -> str:
    by_number = deal_clients(hosts_of(*hosts), clients)
    assert list(by_number) == list(range(1, clients + 1))
    return "".join(name[1] for name in by_number.values())


def test_equal_hosts_take_turns() -> None:
    assert dealt(7, (None, None), (None, None), (None, None)) == "0120120"


def test_neighbours_are_apart_where_shares_differ() -> None:
    assert dealt(6, (None, 1), (None, 2)) == "101101"
    assert dealt(6, (0, None), (2, None), (None, None)) == "212212"


def test_a_fixed_number_is_kept_whatever_the_total() -> None:
    for clients in range(3, 40):
        assert dealt(clients, (3, None), (None, 1), (None, 5)).count("0") == 3


@pytest.mark.parametrize(
    ("clients", "hosts", "said"),
    [
        (
            3,
            [(2, None), (2, None)],
            "CLIENTS=3 is not possible: hosts.toml fixes 4 of its hosts' clients: ask for 4$",
        ),
        (5, [(2, None), (2, None)], "ask for 4, or give a host a weight above 0"),
        (3, [(4, None), (None, None)], "ask for 4 or more"),
        (5, [(2, None), (None, 0)], "ask for 2, or give a host a weight above 0"),
    ],
)
def test_sums_that_do_not_fit_are_refused(
    clients: int, hosts: list[tuple[int | None, float | None]], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        deal_clients(hosts_of(*hosts), clients)


@given(st.integers(0, 200), st.lists(st.floats(0, 1000), min_size=1, max_size=30).filter(any))
def test_each_host_gets_its_share_within_one(clients: int, weights: list[float]) -> None:
    given_to = list(deal_clients(hosts_of(*((None, weight) for weight in weights)), clients).values())
    assert len(given_to) == clients
    for number, weight in enumerate(weights):
        assert abs(given_to.count(f"h{number}") - clients * weight / sum(weights)) < 1.001
