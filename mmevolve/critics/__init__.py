"""Critics: anything that judges a trajectory."""
