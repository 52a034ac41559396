"""Facts × rules → derived facts, each with its reason.

Belongs here: checking and compiling programs, the incremental engine, its specification `naive`, and explanations.
Does not: IO, the clock, Kubernetes: a controller, a filter or a check is a file in `policies/`.
"""
