"""Fine-tuning: a pretrained backbone moved to your classes, one method a file.

May use studio.core, .store, .data, .metrics, .figures. The loop that trains a Learner is
`studio.engine.loop`; a method here never writes its own.
"""
