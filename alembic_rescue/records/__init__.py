"""What is kept on disk: receipts of what was written, and sealed plans."""
