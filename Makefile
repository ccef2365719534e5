# Targets for people: see README.md.
