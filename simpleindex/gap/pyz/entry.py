"""What `python server.pyz` runs first, whatever Python that is: in words that all of them know."""

import sys

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  it is what this file is for
        sys.exit(
            "simpleindex-server: Python 3.11 or newer is needed, and this is %d.%d (%s)"  # noqa: UP031
            % (sys.version_info[0], sys.version_info[1], sys.executable)
        )
    # Beside this file, in the archive; not before the Python is known to understand it.
    import runpy

    import simpleindex_unpacking  # type: ignore[import-not-found]

    simpleindex_unpacking.prepare(sys.path)
    runpy.run_module("simpleindex", run_name="__main__")
