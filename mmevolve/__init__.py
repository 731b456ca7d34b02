"""mmevolve: vision-language models that learn from their own judged answers."""

__version__ = "0.1.0"
