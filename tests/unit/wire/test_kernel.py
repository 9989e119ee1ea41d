"""The command line of the wire's kernel, and kernels that end before they are ready."""

from collections.abc import Iterable, Sequence

import pytest

from wire import kernel, launcher
from wire.kernel import BOOTS, MAX_LINKS, KernelEndedError, boot, command_line, explanation, memory_mib
from wire.requests import WireError


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


class FakeKernels:
    """Starts kernels; of each it takes one of *errors*, in their order, or None: it becomes ready."""

    def __init__(self, errors: Iterable[WireError | None]) -> None:
        self._errors = iter(errors)
        self.events: list[str] = []
        self.untils: list[float] = []

    def __call__(self, sockets: Sequence[tuple[int, int]], attempt: int) -> "FakeKernel":
        self.events.append(f"start {attempt} with {list(sockets)}")
        return FakeKernel(self, attempt, next(self._errors))


class FakeKernel:
    """One of them."""

    def __init__(self, kernels: FakeKernels, attempt: int, error: WireError | None) -> None:
        self.kernels, self.attempt, self.error = kernels, attempt, error

    def wait_until_ready(self, *, until_s: float) -> None:
        self.kernels.untils.append(until_s)
        if self.error is not None:
            raise self.error

    def end_helpers(self) -> None:
        self.kernels.events.append(f"end helpers of {self.attempt}")


HALTED = KernelEndedError("the kernel ended with status 0; its last lines: reboot: System halted")


def test_a_kernel_that_halts_while_it_boots_is_booted_again_and_its_helpers_are_ended_first() -> None:
    kernels = FakeKernels([HALTED, None])
    said: list[str] = []
    ready = boot([(5, 6)], say=said.append, start=kernels)  # type: ignore[arg-type]
    assert isinstance(ready, FakeKernel)
    assert ready.attempt == 2
    assert kernels.events == ["start 1 with [(5, 6)]", "end helpers of 1", "start 2 with [(5, 6)]"]
    assert said == [
        "wire: before it was ready, the kernel ended with status 0; its last lines: reboot: System halted; "
        f"booting it again, attempt 2 of {BOOTS}"
    ]
    assert len(set(kernels.untils)) == 1, "both have the same time together"


def test_a_kernel_that_is_ready_at_once_says_nothing() -> None:
    kernels = FakeKernels([None])
    said: list[str] = []
    boot([(5, 6)], say=said.append, start=kernels)  # type: ignore[arg-type]
    assert (kernels.events, said) == (["start 1 with [(5, 6)]"], [])


def test_kernels_that_always_halt_are_an_error_after_a_few() -> None:
    kernels = FakeKernels([HALTED] * BOOTS)
    said: list[str] = []
    with pytest.raises(
        WireError, match=f"no kernel was ready in {BOOTS} attempts: the kernel ended with status 0; .*halted"
    ):
        boot([(5, 6)], say=said.append, start=kernels)  # type: ignore[arg-type]
    assert len(said) == BOOTS - 1


def test_a_kernel_that_hangs_is_not_booted_again() -> None:
    """Its time is over, and the lab waits no longer for a second one."""
    kernels = FakeKernels([WireError("the kernel was not ready within 30 s; it wrote nothing")])
    with pytest.raises(WireError, match=r"^the kernel was not ready"):
        boot([(5, 6)], say=print, start=kernels)  # type: ignore[arg-type]
    assert len(kernels.events) == 1


def test_each_kernel_has_files_of_its_own() -> None:
    """What the first has left, its mailbox for example, would make the second one look ready."""
    assert {word for word in command_line([(5, 6)], "/run/wire/2") if "/run/wire" in word} == {
        "uml_dir=/run/wire/2/",
        "box=/run/wire/2/box",
    }


def test_an_end_is_explained_by_what_comes_before_the_last_line() -> None:
    """This console is that of a kernel whose driver refused a good socket."""
    console = """mmapper_init - find_iomem failed
        Failed to initialize ubd device 0 :Couldn't determine size of device's file
        fd open: bad or missing fd argument
        RTNETLINK answers: Invalid argument
        Command failed /tmp/ip:3
        the links could not be joined
        reboot: System halted
    """
    assert explanation(console.splitlines()) == (
        "fd open: bad or missing fd argument; RTNETLINK answers: Invalid argument; Command failed /tmp/ip:3; "
        "the links could not be joined; reboot: System halted"
    )
    assert explanation([]) == "it wrote nothing"
    assert kernel.SHOWN_LINES == 5
