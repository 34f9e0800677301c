"""`python -m simpleindex`: the same as the command `simpleindex-server`."""

import sys

from simpleindex.cli import main

if __name__ == "__main__":
    sys.exit(main())
