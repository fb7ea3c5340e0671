"""What a step of the chain did, sent, and left out."""
