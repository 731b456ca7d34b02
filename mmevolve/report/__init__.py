"""Pictures and pages: what a person sees of a run when it has stopped."""
