"""Data: sets of samples (embedded, on disk or the user's own), and how they are dealt to clients."""
