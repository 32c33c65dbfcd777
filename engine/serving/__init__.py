"""The engine's loop: sessions, jobs, their queue, and the workers. No torch."""
