"""The schema of the cache's SQLite file and its statements, as data.

`MIGRATIONS[n]` leads from version n to n + 1; a new file goes through all of them. What is in
this tuple never changes once it was released: a change of the schema is one more entry.
"""

APPLICATION_ID = 0x53495843
"""Marks an SQLite file as a cache of ours (`SIXC`)."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    INSERT INTO facts VALUES ('serial', 0), ('size_bytes', 0);

    CREATE TABLE pages (
        id INTEGER PRIMARY KEY,
        index_name TEXT NOT NULL,
        project TEXT NOT NULL,
        source TEXT NOT NULL,
        content_sha256 BLOB,                -- NULL: upstream has no such project
        etag TEXT,
        last_modified TEXT,
        checked_at TEXT NOT NULL,
        serial INTEGER NOT NULL,
        UNIQUE (index_name, project)
    );
    CREATE TABLE contents (                 -- apart, so that to renew a page writes little
        page_id INTEGER PRIMARY KEY REFERENCES pages ON DELETE CASCADE,
        is_packed INTEGER NOT NULL,
        content BLOB NOT NULL
    );

    CREATE TABLE places (
        id INTEGER PRIMARY KEY,
        index_name TEXT NOT NULL,
        sha256_prefix TEXT NOT NULL,
        filename TEXT NOT NULL,
        project TEXT NOT NULL,
        file_bytes INTEGER,                 -- NULL, as the two below: only sidecars are here
        sha256 TEXT,
        kept_at TEXT,
        used_at TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,        -- of all that is here
        UNIQUE (index_name, sha256_prefix, filename)
    );
    CREATE INDEX places_by_use ON places (used_at, id);
    CREATE INDEX places_of_project ON places (index_name, project);
    CREATE TABLE sidecars (
        place_id INTEGER NOT NULL REFERENCES places ON DELETE CASCADE,
        kind TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        PRIMARY KEY (place_id, kind)
    ) WITHOUT ROWID;
    CREATE TRIGGER place_grows AFTER UPDATE OF size_bytes ON places BEGIN
        UPDATE facts SET value = value + new.size_bytes - old.size_bytes WHERE name = 'size_bytes';
    END;
    CREATE TRIGGER place_goes AFTER DELETE ON places BEGIN
        UPDATE facts SET value = value - old.size_bytes WHERE name = 'size_bytes';
    END;

    CREATE TABLE lists (
        index_name TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        count INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        etag TEXT,
        last_modified TEXT,
        checked_at TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- What is about to lie at its place, and is on record there once this is not (kind: '' for a
    -- file, else what lies beside it).
    CREATE TABLE arrivals (
        index_name TEXT NOT NULL,
        sha256_prefix TEXT NOT NULL,
        filename TEXT NOT NULL,
        kind TEXT NOT NULL,
        PRIMARY KEY (index_name, sha256_prefix, filename, kind)
    ) WITHOUT ROWID;
    """,
)

FACT = "SELECT value FROM facts WHERE name = ?"
SET_FACT = "UPDATE facts SET value = ? WHERE name = ?"
TABLES = "SELECT count(*) FROM sqlite_master"

PAGE = """
    SELECT source, is_packed, content, etag, last_modified, checked_at, serial
    FROM pages LEFT JOIN contents ON page_id = id
    WHERE index_name = ? AND project = ?
"""
PAGE_HEAD = """
    SELECT source, content_sha256 IS NOT NULL, etag, last_modified, checked_at, serial
    FROM pages WHERE index_name = ? AND project = ?
"""
PAGE_STATE = """
    SELECT id, source, content_sha256, serial FROM pages WHERE index_name = ? AND project = ?
"""
ADD_PAGE = """
    INSERT INTO pages (index_name, project, source, content_sha256, etag, last_modified,
        checked_at, serial)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
SET_PAGE = """
    UPDATE pages SET source = ?2, content_sha256 = ?3, etag = ?4, last_modified = ?5,
        checked_at = ?6, serial = ?7
    WHERE id = ?1
"""
RENEW_PAGE = "UPDATE pages SET checked_at = ?3 WHERE index_name = ?1 AND project = ?2"
PUT_CONTENT = "INSERT OR REPLACE INTO contents VALUES (?, ?, ?)"
REMOVE_CONTENT = "DELETE FROM contents WHERE page_id = ?"
SET_CONTENT_DIGEST = "UPDATE pages SET content_sha256 = ?2, serial = ?3 WHERE id = ?1"
REMOVE_PAGE = "DELETE FROM pages WHERE index_name = ? AND project = ?"
REMOVE_SOME_PAGES = """
    DELETE FROM pages WHERE id IN (SELECT id FROM pages WHERE index_name = ? LIMIT ?)
"""
REMOVE_ABSENT_PAGES = "DELETE FROM pages WHERE content_sha256 IS NULL AND checked_at < ?"
PROJECTS = """
    SELECT project FROM pages
    WHERE index_name = ? AND project > ? AND content_sha256 IS NOT NULL
    ORDER BY project LIMIT ?
"""

_FILE = "SELECT project, file_bytes, sha256, kept_at, used_at FROM places"
_AT = "index_name = ? AND sha256_prefix = ? AND filename = ?"
FILE = f"{_FILE} WHERE {_AT} AND sha256 IS NOT NULL"
FILENAMES = """
    SELECT filename FROM places WHERE index_name = ? AND project = ? AND sha256 IS NOT NULL
"""
_SIDECAR = "SELECT sidecars.size_bytes FROM places JOIN sidecars ON place_id = id"
SIDECAR_BYTES = f"{_SIDECAR} WHERE {_AT} AND kind = ?"
ADD_PLACE = """
    INSERT OR IGNORE INTO places (
        index_name, sha256_prefix, filename, project, used_at, size_bytes)
    VALUES (?, ?, ?, ?, ?, 0)
"""
_PLACE_ID = "SELECT id FROM places"
PLACE_ID = f"{_PLACE_ID} WHERE {_AT}"
SET_FILE = """
    UPDATE places SET project = ?2, file_bytes = ?3, sha256 = ?4, kept_at = ?5,
        used_at = max(used_at, ?6)
    WHERE id = ?1
"""
CLEAR_FILE = "UPDATE places SET file_bytes = NULL, sha256 = NULL, kept_at = NULL WHERE id = ?"
PUT_SIDECAR = "INSERT OR REPLACE INTO sidecars VALUES (?, ?, ?)"
CLEAR_SIDECAR = "DELETE FROM sidecars WHERE place_id = ? AND kind = ?"
SUM_UP = """
    UPDATE places SET size_bytes = ifnull(file_bytes, 0) + ifnull(
        (SELECT sum(sidecars.size_bytes) FROM sidecars WHERE place_id = places.id), 0)
    WHERE id = ?
"""
REMOVE_IF_EMPTY = """
    DELETE FROM places WHERE id = ?1 AND sha256 IS NULL
        AND NOT EXISTS (SELECT 1 FROM sidecars WHERE place_id = ?1)
"""
REMOVE_PLACE = "DELETE FROM places WHERE id = ?"
USE_PLACE = """
    UPDATE places SET used_at = ?1
    WHERE index_name = ?2 AND sha256_prefix = ?3 AND filename = ?4 AND used_at < ?1
"""

_PLACE = """
    SELECT id, index_name, sha256_prefix, filename, file_bytes, size_bytes, used_at FROM places
"""
PLACE_BY_ID = f"{_PLACE} WHERE id = ?"
OLDEST_PLACES = f"{_PLACE} WHERE (used_at, id) > (?, ?) ORDER BY used_at, id LIMIT ?"
PLACES_OF_PROJECT = f"{_PLACE} WHERE index_name = ? AND project = ? AND id > ? ORDER BY id LIMIT ?"
PLACES_OF_INDEX = f"{_PLACE} WHERE index_name = ? AND id > ? ORDER BY id LIMIT ?"
ALL_PLACES = f"{_PLACE} WHERE id > ? ORDER BY id LIMIT ?"
SIDECARS = "SELECT kind, size_bytes FROM sidecars WHERE place_id = ?"

ADD_ARRIVAL = "INSERT OR IGNORE INTO arrivals VALUES (?, ?, ?, ?)"
ARRIVALS = "SELECT index_name, sha256_prefix, filename, kind FROM arrivals"
REMOVE_ARRIVAL = """
    DELETE FROM arrivals
    WHERE index_name = ? AND sha256_prefix = ? AND filename = ? AND kind = ?
"""

INDEXES = """
    SELECT index_name FROM pages UNION SELECT index_name FROM places
    UNION SELECT index_name FROM lists ORDER BY index_name
"""
USAGE_OF_PAGES = """
    SELECT index_name, count(content_sha256) FROM pages GROUP BY index_name
"""
USAGE_OF_PLACES = """
    SELECT index_name, count(sha256), sum(size_bytes), min(used_at) FROM places GROUP BY index_name
"""

NAMES = """
    SELECT source, count, size_bytes, sha256, etag, last_modified, checked_at
    FROM lists WHERE index_name = ?
"""
PUT_NAMES = "INSERT OR REPLACE INTO lists VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
RENEW_NAMES = "UPDATE lists SET checked_at = ?2 WHERE index_name = ?1"
REMOVE_NAMES = "DELETE FROM lists WHERE index_name = ?"
LISTS = "SELECT index_name FROM lists"
