"""Time, memory and accuracy of models side by side; the operator alone against a copy."""
