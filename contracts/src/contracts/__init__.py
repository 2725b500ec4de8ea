"""The law between processes: events, topics and roles. Depends on pydantic alone."""
