"""Lines of the services' logs that belong to one request, from files and from `kubectl logs`."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

CALL = "call"  # the event of the line that ends a call
# What `kubectl logs --prefix` puts before each line: [pod/search-0/search].
_PREFIX = re.compile(r"\[(?:pod/)?(?P<pod>[^\]/]+)[^\]]*\]")


@dataclass(frozen=True)
class LogLine:
    """fields: as the service wrote them. source: the pod that the line's prefix names, or the file.

    began: a call's beginning; of another line, its time.
    """

    source: str
    fields: Mapping[str, Any]
    began: datetime

    @property
    def is_call(self) -> bool:
        return self.fields.get("event") == CALL

    @property
    def replica(self) -> str:
        return str(self.fields.get("replica") or self.source)


def of_request(request_id: str, source: str, lines: Iterable[str]) -> Iterator[LogLine]:
    """Those that say this id, in the order of the log; whatever is no line of ours is passed by."""
    for text in lines:
        found = _read(text, source) if request_id in text else None
        if found is not None and found.fields.get("request_id") == request_id:
            yield found


def in_order(lines: Iterable[LogLine]) -> list[LogLine]:
    """By when they began, each once: the same log may have been given twice."""
    once = {json.dumps(line.fields, sort_keys=True): line for line in lines}
    return sorted(once.values(), key=lambda line: line.began)


def _read(text: str, source: str) -> LogLine | None:
    """The JSON may stand behind kubectl's prefix, a time, or both."""
    before, brace, rest = text.partition("{")
    try:
        fields = json.loads(brace + rest)
        ended = datetime.fromisoformat(fields["time"])
        took = timedelta(microseconds=fields.get("micros", 0))
    except (ValueError, TypeError, KeyError):
        return None
    pod = _PREFIX.search(before)
    return LogLine(pod["pod"] if pod else source, fields, ended - took)
