"""The version of the software; it stands nowhere else."""

VERSION = "0.1.0"
