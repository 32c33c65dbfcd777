"""Many files: planned, run, watched for, replaced in place."""
