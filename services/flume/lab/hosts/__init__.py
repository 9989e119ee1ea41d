"""The hosts of a lab: one Docker engine or several; what is common to them, and what connects them."""
