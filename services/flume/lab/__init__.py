"""The lab: containers, links and captures around the programs, and the judge, which decides from captures."""
