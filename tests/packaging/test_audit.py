"""What is made of pip-audit's findings."""

from tools.audit import summary, vulnerable

SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
UNKNOWN = {"name": "annoy", "version": "1.17.3", "skip_reason": "not found on PyPI"}
DAMAGED = {
    "name": "pillow",
    "version": "11.0.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["11.1.0"]}],
}


def test_a_vulnerability_is_told_with_the_version_that_mends_it():
    assert list(vulnerable([SOUND, UNKNOWN, DAMAGED])) == [
        "pillow 11.0.0: PYSEC-1, mended in 11.1.0"
    ]


def test_an_accepted_vulnerability_is_passed_over_by_any_of_its_names():
    for name in ("PYSEC-1", "CVE-1"):
        assert not list(vulnerable([DAMAGED], accepted={name}))


def test_packages_that_nobody_knows_are_not_said_to_be_well():
    assert summary([SOUND, UNKNOWN, DAMAGED]) == "2 of 3 packages were looked up"
    for unasked in ([], [UNKNOWN]):
        assert summary(unasked).startswith("PyPI's advisories cannot be had")
