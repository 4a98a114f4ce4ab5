"""What all of the control flow says that cannot be written."""


class Irreconcilable(Exception):
    """Why two ways, or a loop's steps, cannot be one subgraph."""
