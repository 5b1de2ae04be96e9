"""What can be done with networks for class maps, or with any frozen backbone, beyond predicting.

May use adapters.segment and the studio up to studio.engine.
"""
