"""`lookalike`, also as `python -m lookalike_cli`."""

import sys


def main() -> None:
    try:
        from lookalike_cli.verbs import lookalike
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f"lookalike: this command needs {error.name}: pip install '.[cli]' in a checkout")
    lookalike(prog_name="lookalike")


if __name__ == "__main__":
    main()
