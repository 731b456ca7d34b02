"""Where a training row comes from, what a checkpoint was trained on, and what an image has touched."""
