"""What operators watch. No label ever holds a subject's data."""
