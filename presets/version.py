"""The version of the software: the one place where it stands."""

VERSION = "0.1.0"
