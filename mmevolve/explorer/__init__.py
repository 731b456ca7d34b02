"""The critique explorer: every attempt of a run beside its picture, with what every critic said of it."""
