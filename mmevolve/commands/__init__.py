"""The verbs of the command line that need more than one line."""
