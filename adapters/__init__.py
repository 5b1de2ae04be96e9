"""The wing of adapting pretrained models: backbones, fine-tuning, alignment, ranking, detection, a folder each.

May use the studio up to studio.engine; never studio.runs, studio.ui or another wing. A folder `adapters/` elsewhere on
the path adds its tasks and methods to these.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
