"""What an operator sees of a server: a line in a log and a trace of each request.

Either is off until it is asked for, and costs nothing then.
"""
