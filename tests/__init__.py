"""Values in unit/, promises in contracts/, stories in scenarios; the architecture in tidy.py."""
