"""Models of the transformers library: loading them, and the library's own exporter."""
