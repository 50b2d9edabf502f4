"""One JSON object a line on stderr, from this process's code and from the libraries it uses.

log = logs.get(__name__)
log.info("serving", address="127.0.0.1:50051")
"""

import json
import logging
import socket
import sys
from datetime import UTC, datetime
from typing import Any

from lookalike_kit import calls

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """Events with fields, by a name. The event is a constant; what varies is a field."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def is_on(self, level: str) -> bool:
        """Whether what is at `level`, one of LEVELS, would be written."""
        return self._logger.isEnabledFor(logging.getLevelName(level.upper()))

    def debug(self, event: str, **fields: Any) -> None:
        """What only a person looking for something wants."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What changed."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What someone should look at, some day."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """What someone should look at now."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error with the traceback of the exception in hand."""
        self._write(logging.ERROR, event, fields, with_traceback=True)

    def _write(
        self, level: int, event: str, fields: dict[str, Any], with_traceback: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=with_traceback, extra={"fields": fields})


def get(name: str) -> Log:
    """The log of one module."""
    return Log(logging.getLogger(name))


def configure(level: str, service: str) -> None:
    """What is at `level` (one of LEVELS) or above goes to stderr, with the service's name."""
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(JsonLines(service))
    logging.basicConfig(level=level.upper(), handlers=[writer], force=True)
    logging.captureWarnings(True)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time (UTC), service, replica (a host), event, call, fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service
        self._replica = socket.gethostname()  # in a cluster the pod's name

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "replica": self._replica,
            "logger": record.name,
            "event": record.getMessage(),
        }
        if calls.request_id():
            line["request_id"] = calls.request_id()
        if calls.caller():
            line["caller"] = calls.caller()
        if trace := calls.trace():
            line["trace_id"] = trace.trace_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
