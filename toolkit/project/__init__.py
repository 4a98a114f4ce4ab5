"""Many models of one repository: what is to be checked, what was found, what it was before."""
