"""The operator: its contract, where its compiled code lies, and its torch operators."""
