"""What to ask which institution, and how to merge the answers. Pure."""
