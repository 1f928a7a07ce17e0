"""LLMs write how two pictures differ; a filter keeps what can be used."""
