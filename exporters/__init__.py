"""Ways out of PyTorch, one file each; `toolkit` finds them by the group `onnxport.exporters`."""
