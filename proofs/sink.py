"""Somebody else's server: takes whatever is sent to it, and does nothing with it.

python -m proofs.sink, for `sink`. What an attack costs a machine that it is not meant for.
"""

import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sink() -> Iterator[str]:
    """Its address; in a process of its own."""
    command = [sys.executable, "-m", "proofs.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


class _Taking(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        room = bytearray(1 << 18)
        try:
            while self.request.recv_into(room):
                pass
        except OSError:
            return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), _Taking) as server:
        print(f"127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
