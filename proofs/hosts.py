"""Several hosts on one machine: network namespaces on a bridge, with a name server for all.

What needs them is started again by `set_apart` in namespaces of its own for network, mounts and
processes, so that nothing of it is seen outside and nothing is left when it ends, however it ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("ip", "unshare", "mount", "dnsmasq")
DOMAIN = "lookalike.svc.cluster.local"
# What CoreDNS gives the names of Services.
TTL_SECONDS = 5
_APART = "PROOF_HOSTS_APART"
_TRIAL = (
    "mount -t tmpfs trial /mnt",
    "ip link add name trial-0 type bridge",
    "ip link add name trial-1 type veth peer name trial-2",
)
_BRIDGE, _PREFIX = "hosts", "10.77"
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")


def missing() -> str:
    """What is not here that hosts need; "" where all is."""
    if absent := [command for command in NEEDED if shutil.which(command) is None]:
        return f"commands: {', '.join(absent)}"
    tried = subprocess.run(
        [*_UNSHARE, "sh", "-ec", "; ".join(_TRIAL)], capture_output=True, text=True, check=False
    )
    return f"namespaces: {tried.stderr.strip()}" if tried.returncode else ""


def set_apart(module: str, arguments: Sequence[str]) -> None:
    """Returns in the process that is apart; the one before ends here, with that one's exit code.

    Ends with a sentence where this machine has no namespaces for it.
    """
    if _APART in os.environ:
        return
    if lacking := missing():
        raise SystemExit(
            f"{module}: left out, it needs root's network namespaces, got no {lacking}"
        )
    command = [*_UNSHARE, sys.executable, "-P", "-m", module, *arguments]
    raise SystemExit(
        subprocess.run(command, env={**os.environ, _APART: "1"}, check=False).returncode
    )


@dataclass(frozen=True)
class Host:
    """One with an address and an interface of its own."""

    name: str
    address: str

    @property
    def under(self) -> tuple[str, ...]:
        """Before a command: runs it on this host."""
        return ("ip", "netns", "exec", self.name)

    def remove(self) -> None:
        _run("ip", "netns", "delete", self.name)


class Network:
    """This process's own network, in which it is a host as well: the first."""

    address = f"{_PREFIX}.0.1"

    def __init__(self) -> None:
        Path("/run/netns").mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "hosts", "/run/netns")
        _run("ip", "link", "set", "lo", "up")
        # By itself a bridge takes the least address of its ports, another when one goes.
        _run("ip", "link", "add", _BRIDGE, "address", "02:00:00:00:00:01", "type", "bridge")
        _run("ip", "address", "add", f"{self.address}/16", "dev", _BRIDGE)
        _run("ip", "link", "set", _BRIDGE, "up")
        self._hosts = 1

    def host(self, name: str) -> Host:
        """A new one, at an address that none had before."""
        self._hosts += 1
        host = Host(name, f"{_PREFIX}.{self._hosts // 250}.{self._hosts % 250 + 1}")
        link = f"to-{self._hosts}"
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", link, "master", _BRIDGE, "up")
        _run("ip", "-n", name, "address", "add", f"{host.address}/16", "dev", "eth0")
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        _run("ip", "-n", name, "link", "set", "lo", "up")
        return host


class Names:
    """dnsmasq in the place of a cluster's DNS: a name has an address for each ready pod."""

    def __init__(self, hosts: Path, process: subprocess.Popen[bytes]) -> None:
        self._hosts = hosts
        self._process = process

    def set(self, addresses: Mapping[str, Collection[str]]) -> None:
        """By the first part of the name, as "search"."""
        lines = [
            f"{address} {name}.{DOMAIN}\n" for name, all_ in addresses.items() for address in all_
        ]
        new = self._hosts.with_suffix(".new")
        new.write_text("".join(lines))
        new.rename(self._hosts)
        self._process.send_signal(signal.SIGHUP)


@contextmanager
def name_server(address: str) -> Iterator[Names]:
    """Every process of this network asks it from now on."""
    with tempfile.TemporaryDirectory() as folder:
        hosts, resolv = Path(folder, "hosts"), Path(folder, "resolv.conf")
        hosts.touch()
        resolv.write_text(f"nameserver {address}\nsearch {DOMAIN}\noptions ndots:5\n")
        _run("mount", "--bind", str(resolv), str(Path("/etc/resolv.conf").resolve()))
        command = [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--bind-interfaces", f"--listen-address={address}", "--user=root", "--pid-file=",
            f"--local=/{DOMAIN}/", f"--addn-hosts={hosts}", f"--local-ttl={TTL_SECONDS}",
        ]  # fmt: skip
        with subprocess.Popen(command) as process:
            try:
                yield Names(hosts, process)
            finally:
                process.kill()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
