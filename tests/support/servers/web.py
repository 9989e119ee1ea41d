"""A web server on loopback for a test: of a handler, until the test leaves it."""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator


class QuietServer(http.server.ThreadingHTTPServer):
    """A web server whose clients may go away at any time."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextlib.contextmanager
def web_server(handler: object, *, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[str]:
    """Run a web server on loopback, with *tls* over HTTPS; return its address, without a slash at the end.

    *port* 0: any that is free.
    """
    server = QuietServer(("127.0.0.1", port), handler)  # type: ignore[arg-type]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
