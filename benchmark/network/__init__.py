"""Links of known rates between processes of one machine."""
