"""Ways to execute a model, one file each; `toolkit` finds them by the group `onnxport.runtimes`."""
