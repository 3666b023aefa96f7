"""Real services for tests: each is started by the test itself, on loopback or between namespaces, and stopped by id."""
