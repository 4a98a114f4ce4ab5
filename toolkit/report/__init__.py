"""Results as people and machines want to read them. Nothing is computed here."""
