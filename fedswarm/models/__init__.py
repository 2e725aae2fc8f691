"""Models: the layout of a flat weight vector, the zoo, and models of the user's own."""
