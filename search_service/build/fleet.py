"""The replicas of a search service, asked through their admin ports."""

import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

import grpc
from lookalike.search.v1 import admin_pb2 as pb
from lookalike.search.v1 import admin_pb2_grpc as rpc

_STATUS_SECONDS = 2.0

Statuses = Mapping[str, pb.GetStatusResponse | None]


class Fleet:
    """Replicas by their addresses, which may change from one look to the next.

    open_channel: to the admin port of one. Without it the addresses are the admin ports'.

    with Fleet(lambda: ["search-0:50062", "search-1:50062"]) as fleet: ...
    """

    def __init__(
        self,
        addresses: Callable[[], Sequence[str]],
        open_channel: Callable[[str], grpc.Channel] | None = None,
    ) -> None:
        self.addresses = addresses
        self._open_channel = open_channel or _in_plain_text
        self._channels: dict[str, grpc.Channel] = {}

    def statuses(self) -> Statuses:
        """What each replica says of itself, asked all at once; None where nobody answers."""
        addresses = list(dict.fromkeys(self.addresses()))
        with ThreadPoolExecutor(max(1, len(addresses))) as pool:
            return dict(zip(addresses, pool.map(self._status, addresses), strict=True))

    def admin(self, address: str) -> rpc.IndexAdminServiceStub:
        """The admin calls of one replica."""
        if address not in self._channels:
            self._channels[address] = self._open_channel(address)
        return rpc.IndexAdminServiceStub(self._channels[address])

    def _status(self, address: str) -> pb.GetStatusResponse | None:
        try:
            return self.admin(address).GetStatus(pb.GetStatusRequest(), timeout=_STATUS_SECONDS)
        except grpc.RpcError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for channel in self._channels.values():
            channel.close()


def _in_plain_text(address: str) -> grpc.Channel:
    # A replica that restarts is seen again at once: gRPC would wait up to two minutes.
    waits = {"initial": 100, "max": 500}
    options = [(f"grpc.{name}_reconnect_backoff_ms", wait) for name, wait in waits.items()]
    return grpc.insecure_channel(address, options)


def resolved(name: str, port: int) -> Callable[[], Sequence[str]]:
    """All addresses of a name, such as a headless Service's, looked up each time.

    OSError while it was never found; later the last ones found.
    """
    found = _look_up(name, port)

    def addresses() -> Sequence[str]:
        nonlocal found
        with suppress(OSError):  # the name service has its moments
            found = _look_up(name, port)
        return found

    return addresses


def _look_up(name: str, port: int) -> Sequence[str]:
    infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    hosts = {str(address[0]) for *_, address in infos}
    return sorted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)
