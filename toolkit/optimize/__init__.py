"""Graph rewrites: repairs after an export, simplification. Each takes a file and writes another."""
