"""Tests of the iptables driver: its documents, and what they need to run in network namespaces of their own."""
