"""A media quality-control worker on JobForge: the example media-qc once more, in Python."""
