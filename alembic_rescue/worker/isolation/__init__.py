"""Confine a scratch worker to its scratch databases: redirect its connections, and refuse everything else."""
