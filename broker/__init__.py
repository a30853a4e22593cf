"""The broker: courts ask once, every institution answers, one report per lookup comes back."""
