"""The arithmetic and formats of a transparency log (RFC 6962, C2SP), pure: no files and no clocks."""
