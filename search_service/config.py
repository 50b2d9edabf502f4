"""What the search service is told, by environment variables that begin with LOOKALIKE_SEARCH_."""

from dataclasses import dataclass
from pathlib import Path

from lookalike_kit.config import setting
from lookalike_kit.server_config import ServerConfig

PREFIX = "LOOKALIKE_SEARCH_"
# The other tier's and the client's variables may be set beside ours.
SIBLINGS = ("LOOKALIKE_EMBEDDER_", "LOOKALIKE_CLIENT_")


@dataclass(frozen=True, kw_only=True)
class SearchConfig(ServerConfig):
    """The search service's settings."""

    address: str = setting("127.0.0.1:50061", doc="Where calls are taken. Port 0: any free one.")
    admin_address: str = setting("127.0.0.1:50062", doc="Where health and admin calls are taken.")
    metrics_address: str = setting("127.0.0.1:9161", doc="Where /metrics is served over HTTP.")
    threads: int = setting(
        8, minimum=1, maximum=1024, doc="Calls that run at once: two to four a core."
    )
    store: Path = setting(doc="The store: a folder with indexes/ and blobs/. Only read.")
    cache: Path = setting(
        doc="This replica's own folder for copies of what it serves: room for the old generation, "
        "the new one and one in flight. No two replicas share it."
    )
    indexes: tuple[str, ...] = setting((), doc="The indexes to serve; empty: all in the store.")
    required: tuple[str, ...] = setting(
        (),
        doc="The indexes without which the replica is not ready, and takes no calls; no other "
        "index gates it.",
    )
    max_mapped_bytes: int | None = setting(
        None,
        minimum=1,
        doc="The most bytes of files to map, all indexes together; an old generation counts until "
        "the new one has taken its place, blobs that both have count once. What would go over it "
        "is refused (`over_budget`) and tried again every 30 s. REQUIRED indexes are loaded first, "
        "then those that INDEXES names first. Empty: no limit but the machine's memory.",
    )
    ease_from: float = setting(
        0.5,
        minimum=0,
        maximum=1,
        doc="Above this share of MAX_WAITING taken, calls are answered at a recall of 0.95 at "
        "most, half-way from there to full at 0.90, and say so; exact and strict ones never. "
        "1: none.",
    )
    live_recall_every: int = setting(
        100,
        minimum=0,
        maximum=1_000_000,
        doc="One of so many queries of the default accuracy is answered again exactly, to measure "
        "the recall that callers get; 0: none.",
    )
    live_recall_cpu_share: float = setting(
        0.02,
        minimum=0.0001,
        maximum=1,
        doc="The most that measuring it may take, in cores; samples beyond are dropped.",
    )
    intake_cpu_share: float = setting(
        0.5,
        minimum=0.01,
        maximum=1,
        doc="The most that copying and checking a new generation may take beside calls, in cores; "
        "at full speed until the replica is ready and serves something.",
    )
    poll_seconds: float = setting(
        1.0, minimum=0.05, maximum=3600, doc="How often CURRENT is looked at."
    )
    jitter_seconds: float = setting(
        0.0,
        minimum=0,
        maximum=3600,
        doc="A new CURRENT whose files are not here yet is loaded after a random share of this, so "
        "that the replicas of a large fleet do not all fetch at once.",
    )
