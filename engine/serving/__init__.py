"""The engine's loop: sessions, jobs and their queue, the workers. No torch."""
