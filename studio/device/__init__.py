"""The device manager: leases across processes, probes, precision, memory, warm models.

May use studio.core. Everything about a device is reached through a `Probe`; torch is imported only where asked for.
"""
