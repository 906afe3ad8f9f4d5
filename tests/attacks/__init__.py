"""`make attack`: a fresh server, and what an outsider may try on it over the network.

An attack is a function of a module here and a line in `registry.py`. Its docstring says what the attacker
gains where it succeeds, and it raises `Broken` then, with what came.
"""
