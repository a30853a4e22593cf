"""What has to be asked, of whom, and how the answers come together. Pure."""
