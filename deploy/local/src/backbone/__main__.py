"""`python -m backbone` is the same as `backbone`."""

from backbone.main import main

main()
