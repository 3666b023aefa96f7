"""A study as a RayJob on Kubernetes: typed settings become documents; only `client.py` speaks to a cluster."""
