"""Whether the packages that the images install have known vulnerabilities: `python -m tools.audit`.

pip-audit asks PyPI about each. Exit code 1 for a vulnerability. Where PyPI cannot be asked, offline
or through a mirror that holds packages alone, one line says so and the exit code is 0: pip-audit
itself finds "no known vulnerabilities" in packages that it could not look up.
"""

import json
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements/search.txt", "requirements/embedder.txt")
TIMEOUT_SECONDS = 5
# Identifiers of what does not reach us, each with the reason why.
ACCEPTED: Mapping[str, str] = {}

Packages = Sequence[Mapping[str, Any]]


def main() -> int:
    packages = _asked()
    found = list(vulnerable(packages))
    for line in (*found, summary(packages)):
        sys.stdout.write(f"audit: {line}\n")
    return 1 if found else 0


def vulnerable(packages: Packages, accepted: Container[str] = ACCEPTED) -> Iterator[str]:
    """A line for each known vulnerability, unless one of its names is accepted."""
    for package in packages:
        for each in package.get("vulns", ()):
            if not any(name in accepted for name in (each["id"], *each.get("aliases", ()))):
                mended = ", ".join(each["fix_versions"]) or "no version yet"
                yield f"{package['name']} {package['version']}: {each['id']}, mended in {mended}"


def summary(packages: Packages) -> str:
    """How many packages were looked up; packages: none where pip-audit could not even begin."""
    known = sum("vulns" in package for package in packages)
    if known == 0:
        return "PyPI's advisories cannot be had from here, so nothing was looked up"
    return f"{known} of {len(packages)} packages were looked up"


def _asked() -> Packages:
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", str(TIMEOUT_SECONDS)]
    locks = [word for lock in LOCKS for word in ("--requirement", lock)]
    done = subprocess.run(
        [*command, *options, *locks], cwd=ROOT, capture_output=True, text=True, check=False
    )
    try:
        packages: Packages = json.loads(done.stdout)["dependencies"]
    except ValueError:  # not a word on its standard output: the errors are on the other
        return ()
    return packages


if __name__ == "__main__":
    sys.exit(main())
