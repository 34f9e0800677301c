"""Package files and what is known about them. Knows no HTTP.

`opening.open_store` gives a `store.Store`, the one door; `ports` says what its halves must do;
`model`, `names` and `errors` are what it speaks in.
"""
