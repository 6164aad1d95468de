"""Facts and files that every room shares; nothing but the standard library and numpy."""
