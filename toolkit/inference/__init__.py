"""Running models: in this process, in a child process, over files of any length."""
