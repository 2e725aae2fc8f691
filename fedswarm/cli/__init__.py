"""The command line: one module a group of commands. Results go to standard output, prose to standard error."""
