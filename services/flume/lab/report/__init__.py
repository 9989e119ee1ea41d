"""The verdict for programs, people and CI systems."""
