"""What the tests of re-identification share. They import each other by name, wherever pytest starts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
