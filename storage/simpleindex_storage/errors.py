"""What can go wrong in a store: five classes, told apart by what the caller can do next.

    StoreError
    |-- NotStored        nothing by that name: ask for another, or ask elsewhere
    |-- AlreadyStored    the name belongs to other content: choose another name or version
    |-- Refused          a rule forbids it whatever is tried: change what is sent
    |-- Damaged          bytes are not the promised ones: send them again
    `-- Unavailable      the request is fine, the store is not: try later

The sentence in `str(error)` is meant for the person at the other end: it names the thing, the
rule and what to do, on one line. What each class means in HTTP is written in one place, in
`simpleindex.errors`; nothing here knows a status code.
"""


class StoreError(Exception):
    """The store could not do what it was asked to."""


class NotStored(StoreError, LookupError):
    """There is no such thing here."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what, advice)
        self.what = what
        self.advice = advice

    def __str__(self) -> str:
        return f"there is no {self.what} here" + (self.advice and f"; {self.advice}")


class AlreadyStored(StoreError):
    """The name is in use for something else.

    `kind` comes first in the sentence: uploaders look for the words "File already exists".
    """

    def __init__(self, kind: str, name: str, advice: str) -> None:
        super().__init__(kind, name, advice)
        self.kind = kind
        self.name = name
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.kind} already exists: {self.name}; {self.advice}"


class Refused(StoreError):
    """A rule forbids it."""

    def __init__(self, subject: str, rule: str) -> None:
        super().__init__(subject, rule)
        self.subject = subject
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule}"


class Damaged(StoreError):
    """The bytes are not those that were promised."""

    def __init__(self, subject: str, digest: str, promised: str, actual: str) -> None:
        super().__init__(subject, digest, promised, actual)
        self.subject = subject
        self.digest = digest
        self.promised = promised
        self.actual = actual

    def __str__(self) -> str:
        return (
            f"{self.subject}: the {self.digest} digest should be {self.promised}, but bytes with "
            f"{self.actual} arrived; send the file again"
        )


class Unavailable(StoreError):
    """The store cannot answer now.

    `full` tells that it lacks room, which passes only when somebody makes some.
    """

    def __init__(self, reason: str, *, full: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.full = full

    def __str__(self) -> str:
        return self.reason
