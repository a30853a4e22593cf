"""One lane per institution: its queue, its calls, and how hard it may be asked."""
