"""The mailbox of `up` and `demo`: takes every mail, sends none on, and shows them on a web page."""
