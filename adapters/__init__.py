"""The wing of adapting pretrained models: backbones, fine-tuning, alignment, ranking, a folder each.
May use studio.core, .store, .data, .metrics and .figures; never studio.runs, studio.ui or another wing."""
