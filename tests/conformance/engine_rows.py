"""Which endpoints a client has called: the rows of the Engine API that containers are made with.

davit counts its calls by endpoint and end (GET /metrics). A suite's last case asks for all rows that
its client can call, so that none is taken for tested that was not.
"""

import contextlib
import re

from harness import Failure, equal, eventually

CALL = re.compile(r'davit_api_calls_total\{method="(\w+)",endpoint="([^"]+)",end="(\w+)"\} \d+')

ROWS = frozenset("""
HEAD /_ping
GET /_ping
GET /version
GET /info
GET /events
GET /system/df
GET /containers/json
POST /containers/create
POST /containers/prune
GET /containers/{id}/json
POST /containers/{id}/start
POST /containers/{id}/stop
POST /containers/{id}/restart
POST /containers/{id}/kill
POST /containers/{id}/update
POST /containers/{id}/rename
POST /containers/{id}/pause
POST /containers/{id}/unpause
POST /containers/{id}/wait
DELETE /containers/{id...}
POST /containers/{id}/attach
GET /containers/{id}/logs
GET /containers/{id}/top
GET /containers/{id}/stats
GET /containers/{id}/changes
POST /containers/{id}/resize
HEAD /containers/{id}/archive
GET /containers/{id}/archive
PUT /containers/{id}/archive
GET /containers/{id}/export
POST /commit
POST /containers/{id}/exec
POST /exec/{id}/start
POST /exec/{id}/resize
GET /exec/{id}/json
GET /volumes
POST /volumes/create
POST /volumes/prune
GET /volumes/{name}
DELETE /volumes/{name}
""".strip().split("\n"))


def rows_missing(engine):
    text = engine.api("GET", "/metrics").body.decode()
    return ROWS - {f"{method} {endpoint}" for method, endpoint, end in CALL.findall(text) if end != "failed"}


def all_called(engine, but=()):
    """Every row was called with success (a stream may have been left by its client), but for those named."""
    with contextlib.suppress(Failure):  # A call ends a moment after its client has what it wants.
        eventually(lambda: rows_missing(engine) == set(but), "all are called")
    equal(sorted(rows_missing(engine)), sorted(but), "rows that were not called")
