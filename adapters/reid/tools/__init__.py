"""What can be done with a gallery: enrol, look through a folder, follow through a film, forget; one tool a file.

May use adapters.reid and the studio up to studio.engine.
"""
