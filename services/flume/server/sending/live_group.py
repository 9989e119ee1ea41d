"""Clients at the live edge that take the same bytes: sent to in one step, and counted once for all of them."""

from flume.server.sending.group_sender import GroupSender
from flume.server.sending.roster import Recipient, Tally
from flume.settings import PayloadKind


class LiveGroup:
    """Members share payload, segmentation and position in the stream. The sender thread owns it.

    A member whose send fails leaves the group. So every batch counts for all members, and none needs a count of its
    own.
    """

    def __init__(self, payload: PayloadKind, sender: GroupSender, *, segmentation: bool) -> None:
        """Send *payload* through *sender*; without *segmentation* one datagram at a time."""
        self.payload = payload
        self.segmentation = segmentation
        self.tally = Tally()
        self._sender = sender
        self._members: list[Recipient] = []
        self._positions: dict[Recipient, int] = {}

    @property
    def sender(self) -> GroupSender:
        """What sends to the members."""
        return self._sender

    @property
    def members(self) -> tuple[Recipient, ...]:
        """The recipients in the group, in the order of the sender's positions."""
        return tuple(self._members)

    def __len__(self) -> int:
        """Return how many members there are."""
        return len(self._members)

    def add(self, recipient: Recipient) -> None:
        """Send *recipient*, which has caught up, what the group is sent from now on."""
        self._positions[recipient] = len(self._members)
        self._members.append(recipient)
        self._sender.add(recipient.socket)
        recipient.join(self)

    def remove(self, recipient: Recipient) -> bool:
        """Remove *recipient*; return whether it was a member."""
        position = self._positions.pop(recipient, None)
        if position is None:
            return False
        recipient.leave()
        self._sender.remove(position)
        last = self._members.pop()
        if last is not recipient:
            self._members[position] = last
            self._positions[last] = position
        return True

    def send(self, data: memoryview | bytes, *, count: int, last_index: int) -> list[tuple[Recipient, int]]:
        """Send the batch *data* of *count* datagrams to all members; return the failed recipients, each with its errno.

        The failed ones are no longer members when this returns.
        """
        failed = [(self._members[position], number) for position, number in self._sender.send(data)]
        for recipient, _ in failed:
            self.remove(recipient)
        self.tally = self.tally.plus(count, last_index)
        return failed

    def close(self) -> None:
        """Release the sender's resources."""
        self._sender.close()
