"""What every room stands on: recipe, registry, events, device manager, home folder, errors.

Imports nothing of ours, and neither torch at module top level nor Gradio anywhere, so that
`launch.py --help` and `launch.py presets` answer at once.
"""
