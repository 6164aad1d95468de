"""What would hold up the event loop: a process of its own does it, one thing at a time.

A thread would not do. Parsers in C keep the interpreter's lock: while one read 10 MB of JSON, no
other thread ran for 2.3 s.
"""
