"""Where the links of an engine's labs meet netem, and the remedy where they cannot."""

import msgspec
import pytest

from flume.errors import SetupError
from flume.lab.containers.engine import EngineInfo
from flume.lab.engines.netem import choose, remedy

DEBIAN = EngineInfo(
    name="desk",
    version="20.10",
    kernel="6.1.0-9-cloud-amd64",
    operating_system="Debian GNU/Linux 12 (bookworm)",
    architecture="x86_64",
    cpus=2,
    memory_bytes=1 << 33,
    endpoint="unix:///var/run/docker.sock",
)


def with_(**fields: str) -> EngineInfo:
    return msgspec.structs.replace(DEBIAN, **fields)


def test_the_engines_own_kernel_comes_first() -> None:
    """On any architecture."""
    for architecture in ("x86_64", "aarch64"):
        place, reason = choose(with_(architecture=architecture), has_netem=True)
        assert place == "kernel"
        assert reason == "the engine's kernel, Linux 6.1.0-9-cloud-amd64, has netem"


def test_a_wire_carries_the_links_where_that_kernel_has_none() -> None:
    """The reason says both."""
    place, reason = choose(DEBIAN, has_netem=False)
    assert place == "wire"
    assert "has no netem (sch_netem), so the links go through a wire" in reason


def test_where_no_wire_runs_the_error_says_why_and_what_helps() -> None:
    """The architecture that counts is the engine's: a remote engine may be another machine than this one."""
    with pytest.raises(SetupError, match=r"runs on x86_64 and not on aarch64; give that kernel netem: modprobe"):
        choose(with_(architecture="aarch64"), has_netem=False)


@pytest.mark.parametrize(
    ("system", "kernel", "words"),
    [
        ("Debian GNU/Linux 12 (bookworm)", "6.1.0-9-amd64", "linux-image-6.1.0-9-amd64"),
        ("Ubuntu 24.04.1 LTS", "6.8.0-31-generic", "linux-modules-extra-6.8.0-31-generic"),
        ("Linux Mint 21.3", "6.8.0-31-generic", "linux-modules-extra"),
        ("Fedora Linux 40 (Server Edition)", "6.9.4-200.fc40.aarch64", "kernel-modules-extra-6.9.4-200.fc40.aarch64"),
        ("Red Hat Enterprise Linux 9.4 (Plow)", "5.14.0-427.el9.aarch64", "kernel-modules-extra"),
        ("Arch Linux", "6.9.1-arch1-1", "package linux;"),
        ("openSUSE Leap 15.6", "6.4.0-150600.21-default", "kernel-default"),
        ("Ubuntu 22.04.4 LTS", "5.15.153.1-microsoft-standard-WSL2", "wslconfig"),
        ("Docker Desktop", "6.6.31-linuxkit", "Docker Desktop"),
        ("Alpine Linux v3.20", "6.6.0", "CONFIG_NET_SCH_NETEM"),
    ],
)
def test_the_remedy_is_that_of_the_engines_system(system: str, kernel: str, words: str) -> None:
    """Package names differ, and in the virtual machines of WSL2 and Docker Desktop no package helps."""
    assert words in remedy(with_(operating_system=system, kernel=kernel))
