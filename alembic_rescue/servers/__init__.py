"""Private database servers: their programs, who keeps them, and what killed runs have left of them."""
