"""Dashboards as Grafana reads them: its classic JSON, which every version from 8 on imports."""

import json
from collections.abc import Iterator
from typing import Any

from tools.monitoring.panel import Dashboard, Panel, Query, Row
from tools.monitoring.slo import ALL

_COLUMNS = 24
_HEIGHT = 8
_SCHEMA = 36  # of Grafana 8.5; newer ones migrate it when they load it
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard_file(dashboard: Dashboard) -> str:
    return json.dumps(_dashboard(dashboard), indent=1, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.says,
        "tags": ["lookalike"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "graphTooltip": 1,  # one cross-hair through all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source(), _namespace()]},
        "panels": list(_panels(dashboard)),
    }


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
    }


def _namespace() -> dict[str, Any]:
    return {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": f"label_values(up{{{ALL}}}, namespace)", "refId": "namespace"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": "All", "value": "$__all"},
        "hide": 0,
    }


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for row in dashboard.rows:
        yield _row(row, number, top)
        number, top, left = number + 1, top + 1, 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left = top + _HEIGHT, 0
            place = {"x": left, "y": top, "w": panel.width, "h": _HEIGHT}
            yield _panel(panel, number, place)
            number, left = number + 1, left + panel.width
        top += _HEIGHT


def _row(row: Row, number: int, top: int) -> dict[str, Any]:
    place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
    return {"type": "row", "id": number, "title": row.title, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    bounds = {"min": panel.least, "max": panel.most}
    return {
        "type": "stat" if panel.is_number else "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "gridPos": place,
        "datasource": _SOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit.value,
                **{name: bound for name, bound in bounds.items() if bound is not None},
                **({} if panel.is_number else {"custom": {"fillOpacity": 8, "lineWidth": 1}}),
            },
            "overrides": [],
        },
        "options": _numbers() if panel.is_number else _lines(),
        "targets": [_target(query, place) for place, query in enumerate(panel.queries)],
    }


def _numbers() -> dict[str, Any]:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name",
        "colorMode": "value",
        "graphMode": "area",
    }


def _lines() -> dict[str, Any]:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _target(query: Query, place: int) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + place),
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "editorMode": "code",
        "range": True,
    }
