"""The aggregator: keeps the round machine going, the model's versions published and the records written."""
