"""A sender with asyncio: one transport. Each tick it calls ``sendto`` for each client and each datagram that is due."""

import asyncio
import sys
import time

from bench.destinations import SendSpec, read_spec


async def serve(spec: SendSpec) -> None:
    """Send the clip to all destinations until the process ends."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("0.0.0.0", 0))
    begin_s = next_s = time.monotonic()
    sent = 0
    while True:
        due = int((time.monotonic() - begin_s) * spec.datagrams_per_s)
        for number in range(sent, due):
            datagram = spec.datagrams[number % len(spec.datagrams)]
            for address in spec.destinations:
                transport.sendto(datagram, address)
        sent = due
        next_s += spec.tick_s
        await asyncio.sleep(max(0.0, next_s - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(serve(read_spec(sys.argv[1:])))
