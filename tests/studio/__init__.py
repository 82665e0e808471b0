"""Tests of the studio: the server over real sockets, and its parts alone."""
