"""The engine's loop: sessions, jobs, their queue and store, the spool. No torch."""
