"""The texts of tasks: prompts of classes, texts of differences, questions to LLMs."""
