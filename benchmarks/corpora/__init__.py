"""What `benchmarks/coverage.py` exports: torch's own databases, architectures, hard cases."""
