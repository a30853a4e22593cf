"""Where answers are kept: one interface, several stores."""
