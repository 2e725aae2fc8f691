"""The round as a state machine: plan, dispatch, reports, verdict, aggregation, records. Events in, instructions out."""
