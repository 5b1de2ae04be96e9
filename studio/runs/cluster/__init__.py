"""Runs on a Ray cluster: Ray finds a node and starts a process there; the same runner works in it.

`connect` reaches the cluster, `carrying` moves a run's files (no Ray in it), `work` runs one in a process of a node,
`ranks` one in several by Ray Train. May use what studio.runs may; Ray is imported inside functions only.
"""
