"""The phases of a transfer: what is kept, reset, attached and frozen, and the proof of it."""
