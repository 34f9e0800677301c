"""Pages of documentation: what they are."""

# Fixed, since Windows asks its registry. HTML and CSS say their charset themselves.
_CONTENT_TYPES = {
    "bmp": "image/bmp",
    "css": "text/css",
    "csv": "text/csv; charset=utf-8",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/x-icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "md": "text/plain; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "mp4": "video/mp4",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "rst": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "webm": "video/webm",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "zip": "application/zip",
}


def content_type_of(name: str) -> str:
    """What a page is, by the end of its name."""
    return _CONTENT_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
