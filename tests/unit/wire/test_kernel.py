"""The command line of the wire's kernel."""

from wire.kernel import command_line, memory_mib


def test_each_pair_of_sockets_becomes_two_interfaces_in_order() -> None:
    vectors = [word for word in command_line([(5, 6), (9, 8)]) if word.startswith("vec")]
    assert [word.partition(",depth")[0] for word in vectors] == [
        "vec0:transport=fd,fd=5",
        "vec1:transport=fd,fd=6",
        "vec2:transport=fd,fd=9",
        "vec3:transport=fd,fd=8",
    ]
    assert all(word.endswith("mtu=1500") for word in vectors)


def test_memory_grows_with_the_links() -> None:
    assert f"mem={memory_mib(2)}M" in command_line([(5, 6), (7, 8)])
    assert memory_mib(50) > memory_mib(5)
