"""Delivery over TCP whose pace no test notices: everything there is comes at once."""

from flume.media.ring import Ring
from flume.server.sending.join_pacing import JoinPacing
from flume.server.sending.tcp_delivery import TcpDelivery
from flume.server.sending.tcp_pacing import TcpPacing


def unpaced_delivery(ring: Ring) -> TcpDelivery:
    """Return a delivery for a stream of a million datagrams a second."""
    pace = JoinPacing(factor=4.0, tick_s=1.0)
    pace.observe(1_000_000)
    return TcpDelivery(ring, TcpPacing(ring, pace))
