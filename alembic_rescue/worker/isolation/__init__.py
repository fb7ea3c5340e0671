"""What keeps a scratch worker to its scratch databases: connections led away, and all else refused."""
