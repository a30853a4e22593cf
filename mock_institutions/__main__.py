"""`python -m mock_institutions`."""

from mock_institutions.cli import main

main()
