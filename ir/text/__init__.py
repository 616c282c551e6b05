"""The text form: one grammar of values for module text, pipelines and recipes."""
