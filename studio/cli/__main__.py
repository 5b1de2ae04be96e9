"""`python -m studio.cli`, to which launch.py hands over."""

import sys

from studio.cli import main

if __name__ == "__main__":
    sys.exit(main())
