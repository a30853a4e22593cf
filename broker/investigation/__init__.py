"""The execution of one request: answers from the cache, inquiries to institutions and peers, reports."""
