"""What was observed, what a database contains, and what the two prove.  Pure: frozen values in, frozen values out."""
