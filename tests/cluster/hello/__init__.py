"""The first example on Docker, used and broken as its user would; each test leaves it as it found it."""
