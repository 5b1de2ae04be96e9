"""Domain alignment on frozen features: labels in the source, none in the target; one method a file.

May use studio.core, .store, .data, .metrics, .figures. `base` holds the two faces that the methods fill:
`Aligner` (no target label ever enters) and `FewLabels` (a few are revealed, and never scored). `deep/` trains
the network itself.
"""
