"""The one training loop and what every wing trains with: averages, ranks, meters, decoded splits, sessions.

May use studio.core, .device, .store, .data, .metrics, .figures; knows no wing.
"""
