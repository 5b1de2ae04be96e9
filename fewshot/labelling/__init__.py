"""Rules that choose which image is labelled next, one file each, and one that lists labels likely to be wrong.

Pure functions of features, labels and probabilities. May use numpy, scikit-learn and studio.core.
"""
