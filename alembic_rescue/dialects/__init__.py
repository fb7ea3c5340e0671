"""What differs by database: one folder or module for each dialect, behind the protocols of ``base``."""
