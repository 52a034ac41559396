"""The engine beside its peers: the same facts and rules, equal answers, measured in the same run."""
