"""Fewer bits: schemes, the processor they are made for, and how far the result may be off."""
