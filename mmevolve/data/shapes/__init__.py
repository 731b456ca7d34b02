"""The embedded world: scenes of coloured shapes, questions about them, gold steps and an exact step oracle."""
