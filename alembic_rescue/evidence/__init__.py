"""What was observed, what a database holds, and what the two prove.  Pure: frozen values in, frozen values out."""
