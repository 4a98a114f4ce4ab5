"""A report as one page that needs nothing else: no server, no network, no script to be read."""
