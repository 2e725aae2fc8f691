"""Selection: who takes part in a round. One policy a module."""
