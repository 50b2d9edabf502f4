"""Alerts of the objectives: multi-window burn rates, all from one table."""

from collections.abc import Iterator
from itertools import groupby

from tools.monitoring.alert import Alert
from tools.monitoring.clock import MINUTE, span
from tools.monitoring.recording import burn_name
from tools.monitoring.slo import BURNS, PERIOD_SECONDS, SLOS, Burn, Slo


def burning() -> Iterator[Alert]:
    """A page and a ticket for each objective."""
    for slo in SLOS:
        for severity, burns in groupby(BURNS, lambda burn: burn.severity):
            yield _alert(slo, severity, list(burns))


def _alert(slo: Slo, severity: str, burns: list[Burn]) -> Alert:
    share_good = 100 * slo.objective
    share = burns[0].times * burns[0].long_seconds / PERIOD_SECONDS
    return Alert(
        name=slo.alert,
        severity=severity,
        means=f"the budget of 30 days will not last: {slo.promise} ({share_good:g} % of calls)",
        says="The budget burns {{ $value | humanize }} times as fast as it may; "
        f"{burns[0].times:g} times for {span(burns[0].long_seconds)} take {share:.0%} of it.",
        expr=" or ".join(_both(slo, burn) for burn in burns),
        for_seconds=2 * MINUTE,
        labels={"slo": slo.name},
    )


def _both(slo: Slo, burn: Burn) -> str:
    which = f'{{slo="{slo.name}"}}'
    long, short = burn_name(burn.long_seconds), burn_name(burn.short_seconds)
    return f"({long}{which} > {burn.times:g} and {short}{which} > {burn.times:g})"
