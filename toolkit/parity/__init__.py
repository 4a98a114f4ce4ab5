"""The proof that two models behave the same: cases, metrics, verdicts and the run that joins them.

Cases, metrics and verdicts are pure functions of arrays and signatures; only `compare` runs models.
"""
