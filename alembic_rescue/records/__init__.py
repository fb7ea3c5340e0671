"""Files on disk: receipts of what was written, and sealed plans."""
