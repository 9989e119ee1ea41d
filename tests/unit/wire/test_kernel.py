"""The command line of the wire's kernel."""

import pytest

from wire import launcher
from wire.kernel import MAX_LINKS, command_line, memory_mib


def test_each_pair_of_sockets_becomes_two_interfaces_in_order() -> None:
    vectors = [word for word in command_line([(5, 6), (9, 8)]) if word.startswith("vec")]
    assert [word.removesuffix(",mtu=1500") for word in vectors] == [
        "vec0:transport=fd,fd=5",
        "vec1:transport=fd,fd=6",
        "vec2:transport=fd,fd=9",
        "vec3:transport=fd,fd=8",
    ]
    assert all(word.endswith(",mtu=1500") for word in vectors)


def test_memory_grows_with_the_links() -> None:
    assert f"mem={memory_mib(2)}M" in command_line([(5, 6), (7, 8)])
    assert memory_mib(50) > memory_mib(5)


def test_the_command_line_of_the_largest_wire_is_short_enough_and_that_of_a_larger_one_is_refused() -> None:
    """56 links boot, and 57; of 58 the kernel says: Too many command line arguments."""
    sockets = [(3 + 2 * link, 4 + 2 * link) for link in range(MAX_LINKS)]
    assert len(" ".join(command_line(sockets)[1:])) < 4000
    for arguments in ([str(MAX_LINKS + 1)], ["0"], ["-1"], ["many"], [], ["1", "2"]):
        with pytest.raises(SystemExit, match=f"usage: wire LINKS .1 to {MAX_LINKS}."):
            launcher.main(arguments)
