"""What the tests of segmentation across domains share: the small networks of the folder above."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
