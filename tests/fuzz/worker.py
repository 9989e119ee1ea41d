"""``python -m fuzz.worker TARGET [OPTION OF LIBFUZZER…] [CORPUS…]``: one target in this process, until it ends.

Its name is one of :data:`fuzz.targets.TARGETS`, or ``any``: the first byte of each input then names the target.
"""

import sys

import atheris


def main() -> None:
    """Instrument the product, then hand the process to libFuzzer, which ends it."""
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["flume"]):
        from fuzz.targets import TARGETS, any_target
    atheris.Setup([sys.argv[0], *arguments], any_target if name == "any" else TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
