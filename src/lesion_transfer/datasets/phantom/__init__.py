"""Writes data sets that look like the published ones, of no patient: byte for byte the same on every machine.

Only numbers that every CPU computes alike reach a file: integers of a named generator, + - * / and square roots,
one operation at a time. No exp, no sine, no sum whose order a library may choose, no compressor that looks at the CPU.
"""

from lesion_transfer.datasets.phantom.write import write_phantom

__all__ = ["write_phantom"]
