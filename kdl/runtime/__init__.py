"""Time, storage, network and people: drives parser, rules and effects.

Belongs here: the loop, the clock, the store, the API, the agent and the shell.
Does not: policy. A branch on a kind, phase or field here is a rule that is missing.
"""
