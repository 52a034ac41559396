"""Desired × observed → operations → observed facts.

Belongs here: the pure `diff` and `plan`, execution, and one module per driver, each the only importer of its SDK.
Does not: rules syntax, manifests, and decisions about what should be: those are facts by the time they get here.
"""
