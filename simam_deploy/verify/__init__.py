"""Hold one model against another, fail closed; every bound stands here."""
