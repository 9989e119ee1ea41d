"""The description of the containers: our own file loads, and keys that the lab would ignore are refused."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flume.errors import SettingsError
from flume.lab.containers import topology
from support.paths import LAB_YAML

MINIMAL = "services:\n  server:\n    image: a\n"


def test_our_own_description_loads() -> None:
    """The file that docker compose reads is inside the subset."""
    layout = topology.load(LAB_YAML.read_text())
    assert set(layout.services) == {"server", "relay", "client", "player", "probe", "wire"}
    assert list(topology.mounts(layout.service("server"))) == [topology.Mount("media", "/media", read_only=False)]


@pytest.mark.parametrize("name", ["server", "relay", "client"])
def test_server_and_client_have_no_privileges(name: str) -> None:
    """They run as an unprivileged user, on a read-only file system."""
    service = topology.load(LAB_YAML.read_text()).service(name)
    assert service.user.partition(":")[0] not in {"", "0", "root"}
    assert service.read_only
    assert service.cap_drop == ("ALL",)
    assert service.cap_add == ()
    assert "no-new-privileges:true" in service.security_opt


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("services:\n  server:\n    image: a\n    ports: ['5004:5004']\n", "ports"),
        ("services:\n  server:\n    image: a\n    privileged: true\n", "privileged"),
        ("services:\n  server: {}\n", "image"),
        ("services:\n  server:\n    image: ''\n", "image"),
        ("services:\n  server:\n    image: a\n    networks: [nowhere]\n", "nowhere"),
        ("services:\n  server:\n    image: a\n    depends_on: [absent]\n", "absent"),
        ("services:\n  server:\n    image: a\n    volumes: ['none:/media']\n", "none"),
        ("services:\n  server:\n    image: a\n    volumes: ['./here:/media']\n", "./here"),
        ("services:\n  server:\n    image: a\n    volumes: ['/etc:/media']\n", "/etc"),
        ("services:\n  server:\n    image: a\n    stop_grace_period: soon\n", "stop_grace_period"),
        ("services:\n  server:\n    image: a\n    cpu_shares: 1\n", "cpu_shares"),
        ("services:\n  server:\n    image: a\n    mem_limit: much\n", "mem_limit"),
        ("services:\n  server:\n    image: a\n    pids_limit: 0\n", "pids_limit"),
        ("services:\n  server:\n    image: a\n    ulimits: {core: 0}\n", "ulimits"),
        (MINIMAL + "networks:\n  lab:\n    driver: macvlan\n", "macvlan"),
        (MINIMAL + "networks:\n  lab:\n    ipam:\n      config:\n        - subnet: 10.0.0.0/24\n", "10.0.0.0/24"),
        (MINIMAL + "networks:\n  lab:\n    ipam:\n      config:\n        - subnet: rubbish\n", "rubbish"),
        (MINIMAL + "secrets: {}\n", "secrets"),
        ("services: [", "YAML"),
        ("", "topology"),
        ("services:\n  server:\n    image: $oops\n", "$oops"),
    ],
)
def test_outside_the_subset_is_refused_by_name(text: str, named: str) -> None:
    """One line that names the key or the value."""
    with pytest.raises(SettingsError) as caught:
        topology.load(text)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The file is absent, or no text."""
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    for name in ("absent.yaml", "binary.yaml"):
        with pytest.raises(SettingsError, match=rf"topology='.*{name}' is not possible: a readable Compose file"):
            topology.load_file(tmp_path / name)
    assert topology.load_file(LAB_YAML) == topology.load(LAB_YAML.read_text())


def test_variables_are_replaced_as_compose_does() -> None:
    """Default, given value, and a literal dollar sign."""
    text = "services:\n  server:\n    image: ${IMAGE:-flume}\n    command: ['$$HOME']\n"
    assert topology.load(text).service("server").image == "flume"
    assert topology.load(text, variables={"IMAGE": "mine"}).service("server").image == "mine"
    assert topology.load(text).service("server").command == ("$HOME",)


def test_for_an_unknown_service_the_known_ones_are_listed() -> None:
    """The error lists the choice."""
    with pytest.raises(SettingsError, match="one of server"):
        topology.load(MINIMAL).service("relay")


@given(st.integers(1, 60_000), st.integers(0, 1 << 20))
def test_a_subnet_holds_its_clients_inside_the_pool(clients: int, start: int) -> None:
    """For any number of clients the address of the last one is not the broadcast address."""
    subnet = next(topology.candidate_subnets(clients, start=start))
    assert subnet.subnet_of(topology.POOL)
    last = topology.address(str(subnet), "client", clients)
    assert last is not None
    assert ipaddress.IPv4Address(last) in subnet
    assert ipaddress.IPv4Address(last) != subnet.broadcast_address


def test_candidates_avoid_taken_subnets_and_cover_the_pool_once() -> None:
    """Every /24 of the pool is offered once, except subnets in use."""
    taken = ("198.18.0.0/24", "198.18.2.0/23", "fd00::/64", "172.17.0.0/16")
    offered = [str(subnet) for subnet in topology.candidate_subnets(5, taken=taken, start=511)]
    assert offered[:3] == ["198.19.255.0/24", "198.18.1.0/24", "198.18.4.0/24"]
    assert len(offered) == len(set(offered)) == 512 - 3


@pytest.mark.parametrize("clients", [0, -1, 1 << 17])
def test_an_impossible_number_of_clients_is_refused(clients: int) -> None:
    """The error names the key and the range."""
    with pytest.raises(SettingsError, match="clients"):
        next(topology.candidate_subnets(clients))


def test_addresses_follow_the_client_number() -> None:
    """Client 3 has address 13, the server address 2; the probe is not on the network."""
    assert topology.address("198.18.7.0/24", "client", 3) == "198.18.7.13"
    assert topology.address("198.18.7.0/24", "server", None) == "198.18.7.2"
    assert topology.address("198.18.7.0/24", "probe", None) is None
    with pytest.raises(SettingsError, match="clients"):
        topology.address("198.18.7.0/24", "client", 245)


@pytest.mark.parametrize("lab", ["", "A", "-a", "a_b", "a" * 33, "a/b", "a b"])
def test_a_lab_name_that_docker_does_not_allow_is_refused(lab: str) -> None:
    """Names become container names and label values."""
    with pytest.raises(SettingsError, match="lab="):
        topology.object_name(lab, "server")


def test_names_and_labels() -> None:
    """They are composed in one module."""
    assert topology.object_name("demo", "client", 3) == "flumelab-demo-client-3"
    assert topology.labels("demo", "run-1", "client", 3) == {
        "flumelab.lab": "demo",
        "flumelab.run": "run-1",
        "flumelab.role": "client",
        "flumelab.index": "3",
    }


@pytest.mark.parametrize(("text", "expected"), [("500ms", 0.5), ("5s", 5.0), ("2m", 120.0)])
def test_durations(text: str, expected: float) -> None:
    """Compose's units."""
    assert topology.seconds(text) == expected
