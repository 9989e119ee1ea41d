"""The lab: containers, links and captures around the programs, and the judge who decides from the wire."""
