import math

import pytest
from lookalike_cli.scrape import pace, parse, quantile

SERVICE = "lookalike.search.v1.SearchService"
BEFORE = f"""
# HELP grpc_server_handled_total Calls finished.
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{{grpc_code="OK",grpc_method="Search",grpc_service="{SERVICE}"}} 10.0
process_open_fds 12.0
"""
AFTER = f"""
grpc_server_handled_total{{grpc_code="OK",grpc_method="Search",grpc_service="{SERVICE}"}} 110.0
grpc_server_handled_total{{grpc_code="NotFound",grpc_method="Search",grpc_service="{SERVICE}"}} 100
grpc_server_handled_total{{grpc_code="OK",grpc_method="Check",grpc_service="grpc.health.v1"}} 9e9
grpc_server_handling_seconds_bucket{{grpc_method="Search",grpc_service="{SERVICE}",le="0.01"}} 98.0
grpc_server_handling_seconds_bucket{{grpc_method="Search",grpc_service="{SERVICE}",le="0.1"}} 100.0
grpc_server_handling_seconds_bucket{{grpc_method="Search",grpc_service="{SERVICE}",le="+Inf"}} 100.0
"""


def test_labels_may_hold_anything():
    text = 'a{b="x,\\"y\\"}",c="="} 1.5e3 1700000000\nbare 2'

    assert parse(text) == {
        ("a", (("b", 'x,\\"y\\"}'), ("c", "="))): 1500.0,
        ("bare", ()): 2.0,
    }


def test_pace_counts_the_services_own_calls_of_any_outcome():
    found = pace(parse(BEFORE), parse(AFTER), seconds=2.0, service=SERVICE)

    assert found.calls_per_second == 100.0
    assert found.p99_seconds == pytest.approx(0.055)


def test_a_quiet_service_has_no_p99():
    found = pace(parse(AFTER), parse(AFTER), seconds=1.0, service=SERVICE)

    assert found.calls_per_second == 0.0
    assert found.p99_seconds is None


def test_what_lies_past_the_last_bucket_is_the_last_bucket():
    assert quantile(0.99, {0.1: 1.0, math.inf: 100.0}) == 0.1
