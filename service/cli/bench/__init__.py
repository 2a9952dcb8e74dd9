"""`utskick bench`: the whole way of a mailing measured, beside senders that keep no books."""
