"""A connection whose transport is the test, in front of the paced input of any dialect."""

from typing import Generic, TypeVar

from flume.server.fronts.paced_input import READ_BYTES, Cutter, PacedInput
from flume.server.limits.commands import CommandBudget
from flume.settings import ServerSettings

ItemT = TypeVar("ItemT")


class PacedConnection(Generic[ItemT]):
    """The test is the transport; *cutter* is the dialect."""

    def __init__(
        self,
        cutter: Cutter[ItemT],
        *,
        commands_per_s: float = 1000,
        all_of: CommandBudget | None = None,
        address: str = "192.0.2.1",
    ) -> None:
        self.reading = True
        self.delayed = 0
        budget = (all_of or CommandBudget(ServerSettings(commands_per_s=commands_per_s))).open(address)
        self.input: PacedInput[ItemT] = PacedInput(
            budget, cutter, set_reading=self._set_reading, on_delayed=self._on_delayed
        )

    def _set_reading(self, on: bool) -> None:
        assert on is not self.reading
        self.reading = on

    def _on_delayed(self) -> None:
        self.delayed += 1

    def receive(self, data: bytes) -> int:
        """Give *data* as the event loop does, as long as the connection reads; return how much was taken."""
        taken = 0
        while self.reading and taken < len(data):
            piece = data[taken : taken + READ_BYTES]
            self.input.space()[: len(piece)] = piece
            self.input.received(len(piece))
            taken += len(piece)
        return taken
