"""A real server in this process, in a network namespace of its own."""

from flume.settings import ServerSettings
from support.namespaces import SERVER_ADDRESS, WirePair, enter
from support.servers.running_server import RunningServer


class ServerInside(RunningServer):
    """Runs in the server's namespace of *pair*, by default on a free port."""

    def __init__(self, pair: WirePair, *, port: int = 0, rtsp_udp: bool = True) -> None:
        super().__init__(settings=ServerSettings(host=SERVER_ADDRESS, port=port, rtsp_udp=rtsp_udp))
        self._pair = pair

    def _run(self) -> None:
        enter(self._pair.server)
        super()._run()
