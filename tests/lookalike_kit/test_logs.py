import json
import socket
import subprocess
import sys

PROGRAM = """
import logging, warnings
from lookalike_kit import calls, logs
logs.configure("info", "echo")
log = logs.get("shop.till")
log.debug("quiet")
log.info("opened", lane=3, folder=__import__("pathlib").Path("/r"))
logging.getLogger("a.library").warning("as %s", "text")
warnings.warn("old")
calls.begin([("x-request-id", "order-17")])
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broke\\nin two")
"""


def test_everything_is_one_json_object_a_line_on_stderr():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    opened, library, warning, broke = map(json.loads, ran.stderr.splitlines())

    assert ran.stdout == ""
    assert opened.pop("time").endswith("+00:00")
    assert opened.pop("replica") == socket.gethostname()
    assert opened == {
        "level": "info",
        "service": "echo",
        "logger": "shop.till",
        "event": "opened",
        "lane": 3,
        "folder": "/r",
    }
    assert (library["level"], library["event"]) == ("warning", "as text")
    assert "old" in warning["event"]
    assert (broke["event"], broke["request_id"]) == ("broke\nin two", "order-17")
    assert "ZeroDivisionError" in broke["traceback"]
