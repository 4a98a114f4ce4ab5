"""A signature proposed from examples: what eager trials of a module say of sizes and values."""
