"""The Docker side: engine, images, containers, and the probe that looks into them."""
