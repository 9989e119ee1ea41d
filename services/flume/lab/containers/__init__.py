"""The Docker side of the lab: engine, images, containers, and the probe, which works in their namespaces."""
