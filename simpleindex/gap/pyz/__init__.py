"""The whole program in one file, `server.pyz`: how it is made, and how it comes up.

`entry`, `unpacking` and `compiling` go into the file as they stand; `contents` says what else, and
`building` writes it.
"""
