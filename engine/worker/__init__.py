"""One process per device: it takes a job, renders it and delivers the stem."""
