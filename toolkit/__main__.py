"""`python -m toolkit`: the same as `onnxport`."""

from toolkit.cli import main

main()
