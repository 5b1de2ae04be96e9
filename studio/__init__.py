"""Transfer Studio: pretrained vision models moved to new classes, new looks and new tasks."""
