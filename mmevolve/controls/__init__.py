"""Controls: the same questions with the picture taken away, exchanged or disturbed, and what the answers then show.

A control is a function from samples to variants of them, and a reading of judged groups of both. A variant has an id of
its own, `<id>@<control>`, and says in `meta["control"]` what it was made from.
"""
