"""The revision graph: what its files say, and the path from the current heads to a target.  Pure."""
