"""How far a file goes: by the sizes and counts that it states, and to where another file begins."""
