"""Every alert fires when it should, alone, and not when it should not: judged by promtool."""

import re
import shutil
import subprocess

import pytest
import yaml

from tests.monitoring.cases import CASES
from tools.monitoring.alert import kebab
from tools.monitoring.alerts import alerts
from tools.monitoring.clock import Clock
from tools.monitoring.rules import groups, rules_file

ALERTS = alerts(Clock())
_ALERTS = 'ALERTS{alertstate="firing"}'
FIRING = f"count by (alertname, severity) ({_ALERTS})"
EVER_FIRED = f"count by (alertname, severity) (max_over_time({_ALERTS}[2h]))"


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus): no rule is judged")
    return found


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(rules_file())
    return path


def expected(fires):
    """How many of an alert fire is not what is judged."""
    return [
        {"labels": f'{{alertname="{name}", severity="{severity}"}}', "value": 1}
        for name, severity in fires
    ]


def test_promtool_finds_no_fault_with_the_rules(promtool, rules):
    done = subprocess.run(
        [promtool, "check", "rules", rules], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_in_every_case_the_right_alerts_fire_and_no_other(promtool, rules, tmp_path):
    tests = [
        {
            "name": case.name,
            "interval": "1m",
            "input_series": [
                {"series": name, "values": values} for name, values in case.series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f"{FIRING if case.fires else EVER_FIRED} > bool 0",
                    "eval_time": f"{case.minutes}m",
                    "exp_samples": expected(case.fires),
                }
            ],
        }
        for case in CASES
    ]
    path = tmp_path / "tests.yaml"
    path.write_text(
        yaml.safe_dump(
            {"rule_files": [str(rules)], "evaluation_interval": "5m", "tests": tests},
            sort_keys=False,
        )
    )
    done = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_fires_in_a_case_and_every_alert_all_but_fires_in_another():
    fired = {pair for case in CASES for pair in case.fires}
    near = {case.near for case in CASES}

    assert fired == {(alert.name, alert.severity) for alert in ALERTS}
    assert near - {None} == {alert.name for alert in ALERTS}


def test_every_alert_names_its_page():
    for alert in ALERTS:
        assert alert.runbook == f"docs/runbooks/{kebab(alert.name)}.md"
        assert re.fullmatch(r"docs/runbooks/[a-z]+(-[a-z]+)*\.md", alert.runbook)


def test_rules_of_another_pace_are_the_same_rules():
    """A proof runs them on a faster clock: only times may differ."""

    def without_times(rules):
        text = yaml.safe_dump(rules, width=10_000)
        return re.sub(r"\d+(\.\d+)?(ms|[smhd])?\b", "", text)

    assert without_times(groups(Clock(100))) == without_times(groups())


def test_no_rule_has_a_time_of_its_own():
    """Every range, `for` and interval follows the clock."""
    sizes = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

    def times(made):
        rules = [rule for group in made["groups"] for rule in group["rules"]]
        judged = [*made["groups"], *rules]
        judged = [{key: each.get(key) for key in ("interval", "expr", "for")} for each in judged]
        spans = re.findall(r"(?<=[\[: ])(\d+)(ms|s|m|h|d)\b", yaml.safe_dump(judged, width=10_000))
        return [int(number) * sizes[unit] for number, unit in spans]

    wall, fast = times(groups()), times(groups(Clock(60)))

    assert len(wall) > 80
    assert fast == pytest.approx([each / 60 for each in wall])
