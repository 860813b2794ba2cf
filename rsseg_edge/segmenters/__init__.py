"""One module a task: semantic classes, an open vocabulary, what a sentence refers to."""
