"""The command line and the REPL: people's side of kdl.

Belongs here: commands, their options, tables and colours. Does not: what an answer is; commands ask an engine
(`kdl.runtime.questions`) or the API's client and print what comes back.
"""
