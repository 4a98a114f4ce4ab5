"""The stages joined: every public verb, one file each, gating each rewrite by a check."""
