"""The job: its schema, its file in two forms, and every mistake in it located."""
