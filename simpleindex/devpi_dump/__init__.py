"""The folders that `devpi-export` writes and `devpi-import` reads, taken in and written."""
