"""One run of the lab: what was asked for, what is started, what happens, what is collected."""
