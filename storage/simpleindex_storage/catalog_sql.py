"""The schema of the catalog and its statements, as data.

`MIGRATIONS[n]` leads from version n to n + 1; a new catalog goes through all of them. What is in
this tuple never changes once it was released: a change of the schema is one more entry.
"""

APPLICATION_ID = 0x53495831
"""Marks an SQLite file as a catalog of ours (`SIX1`)."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    INSERT INTO facts VALUES ('serial', 0), ('journal_bytes', 0);
    INSERT INTO facts VALUES ('uuid', lower(hex(randomblob(16))));

    CREATE TABLE users (
        name TEXT PRIMARY KEY,
        folded TEXT NOT NULL UNIQUE,        -- names that differ only in case are one
        password_hash TEXT NOT NULL,
        password_version INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        modified_at TEXT,
        profile TEXT NOT NULL               -- JSON
    );

    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        sha256 TEXT NOT NULL UNIQUE,        -- of the secret
        created_at TEXT NOT NULL,
        expires_at TEXT,
        actions TEXT NOT NULL,              -- JSON, as the two below
        indexes TEXT NOT NULL,
        projects TEXT NOT NULL
    );
    CREATE INDEX tokens_of_user ON tokens (user_name);

    CREATE TABLE indexes (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        folded TEXT NOT NULL UNIQUE,
        settings TEXT NOT NULL,             -- JSON
        automatic INTEGER NOT NULL,
        serial INTEGER NOT NULL
    );

    CREATE TABLE projects (
        id INTEGER PRIMARY KEY,
        index_id INTEGER NOT NULL REFERENCES indexes,
        name TEXT NOT NULL,                 -- normalised
        display_name TEXT NOT NULL,
        serial INTEGER NOT NULL,
        status TEXT NOT NULL,
        status_reason TEXT,
        UNIQUE (index_id, name)
    );

    CREATE TABLE releases (
        id INTEGER PRIMARY KEY,
        project_id INTEGER NOT NULL REFERENCES projects,
        version TEXT NOT NULL,              -- normalised
        search_text TEXT NOT NULL,          -- before the fields: those may fill many pages
        fields TEXT NOT NULL,               -- JSON
        UNIQUE (project_id, version)
    );

    CREATE TABLE files (
        id INTEGER PRIMARY KEY,
        index_id INTEGER NOT NULL REFERENCES indexes,
        project_id INTEGER NOT NULL REFERENCES projects,
        version TEXT NOT NULL,
        filename TEXT NOT NULL,
        key TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        md5 TEXT NOT NULL,
        blake2b_256 TEXT NOT NULL,
        uploaded_at TEXT NOT NULL,
        uploaded_by TEXT NOT NULL,
        requires_python TEXT,
        metadata_sha256 TEXT,
        signature_sha256 TEXT,
        provenance_sha256 TEXT,
        yanked TEXT,
        findings TEXT NOT NULL,             -- JSON
        log TEXT NOT NULL,                  -- JSON
        UNIQUE (index_id, key),
        FOREIGN KEY (project_id, version) REFERENCES releases (project_id, version)
    );
    CREATE INDEX files_of_project ON files (project_id, id);
    CREATE INDEX files_of_release ON files (project_id, version);

    CREATE TABLE attachments (
        id INTEGER PRIMARY KEY,
        release_id INTEGER NOT NULL REFERENCES releases,
        index_name TEXT NOT NULL,
        sha256_prefix TEXT NOT NULL,
        filename TEXT NOT NULL,
        kind TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        uploaded_at TEXT NOT NULL,
        uploaded_by TEXT NOT NULL,
        file_key TEXT,
        log TEXT NOT NULL,                  -- JSON
        UNIQUE (index_name, sha256_prefix, filename)
    );
    CREATE INDEX attachments_of_release ON attachments (release_id, id);

    CREATE TABLE removals (
        index_name TEXT NOT NULL,
        sha256_prefix TEXT NOT NULL,
        filename TEXT NOT NULL,
        PRIMARY KEY (index_name, sha256_prefix, filename)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE former_projects (
        index_id INTEGER NOT NULL REFERENCES indexes ON DELETE CASCADE,
        name TEXT NOT NULL,                 -- normalised
        PRIMARY KEY (index_id, name)
    ) WITHOUT ROWID;
    """,
    """
    INSERT INTO facts VALUES ('journal_name', 'journal.jsonl');
    """,
    """
    CREATE TABLE deliveries (
        serial INTEGER PRIMARY KEY,         -- of the change that took it in
        taken_at TEXT NOT NULL,
        taken_by TEXT NOT NULL,
        subject TEXT NOT NULL,
        undone_serial INTEGER,
        document TEXT NOT NULL              -- JSON
    );
    """,
)

# The first row of each table, and the last of those that have numbered ones.
TABLES = """
    SELECT 'SELECT * FROM ' || name || ' LIMIT 1' FROM sqlite_master WHERE type = 'table'
    UNION ALL
    SELECT 'SELECT * FROM ' || name || ' ORDER BY rowid DESC LIMIT 1' FROM sqlite_master
    WHERE type = 'table' AND sql NOT LIKE '%WITHOUT ROWID%'
"""
FACT = "SELECT value FROM facts WHERE name = ?"
SET_FACT = "UPDATE facts SET value = ? WHERE name = ?"
COUNT_FAILED_COMMIT = """
    INSERT INTO facts VALUES ('failed_commits', 1)
    ON CONFLICT (name) DO UPDATE SET value = value + 1
"""
"""Changes a page whenever it is done, which setting what stands there already does not."""

_USER = "SELECT name, password_hash, password_version, created_at, modified_at, profile FROM users"
USER = f"{_USER} WHERE name = ?"
USERS = f"{_USER} ORDER BY name"
PUT_USER = """
    INSERT INTO users (
        name, folded, password_hash, password_version, created_at, modified_at, profile)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
        password_hash = excluded.password_hash, password_version = excluded.password_version,
        modified_at = excluded.modified_at, profile = excluded.profile
"""

_OF_TOKENS = """
    SELECT id, user_name, name, sha256, created_at, expires_at, actions, indexes, projects
    FROM tokens
"""
TOKENS = f"{_OF_TOKENS} WHERE user_name = ? ORDER BY created_at, id"
TOKEN_BY_DIGEST = f"{_OF_TOKENS} WHERE sha256 = ?"
PUT_TOKEN = "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S105  a statement
REMOVE_TOKEN = "DELETE FROM tokens WHERE id = ?"  # noqa: S105  a statement

_INDEX = "SELECT name, settings, automatic, serial FROM indexes"
INDEX = f"{_INDEX} WHERE name = ?"
INDEXES = f"{_INDEX} ORDER BY name"
PUT_INDEX = """
    INSERT INTO indexes (name, folded, settings, automatic, serial) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
        settings = excluded.settings, automatic = excluded.automatic, serial = excluded.serial
"""

_PROJECT = """
    SELECT indexes.name, projects.name, display_name, projects.serial, status, status_reason
    FROM projects JOIN indexes ON indexes.id = index_id
    WHERE indexes.name = ?
"""
PROJECT = f"{_PROJECT} AND projects.name = ?"
PROJECTS = f"{_PROJECT} ORDER BY projects.name"
# As the two above, but for the status: it is their index that is read, from one name to the next.
LISTED_PROJECTS = """
    SELECT projects.name, projects.serial FROM projects
    WHERE index_id = (SELECT id FROM indexes WHERE name = ?) AND projects.name > ?
    ORDER BY projects.name LIMIT ?
"""
COUNT_PROJECTS = """
    SELECT count(*) FROM (SELECT 1 FROM projects
    WHERE index_id = (SELECT id FROM indexes WHERE name = ?) LIMIT ?)
"""
PUT_PROJECT = """
    INSERT INTO projects (index_id, name, display_name, serial, status)
    SELECT id, ?2, ?3, ?4, 'active' FROM indexes WHERE name = ?1
    ON CONFLICT (index_id, name) DO UPDATE SET
        display_name = excluded.display_name, serial = excluded.serial
"""
MARK_PROJECT = """
    UPDATE projects SET serial = ?3, status = ?4, status_reason = ?5
    WHERE name = ?2 AND index_id = (SELECT id FROM indexes WHERE name = ?1)
"""
TOUCH_PROJECT = """
    UPDATE projects SET serial = ?3
    WHERE name = ?2 AND index_id = (SELECT id FROM indexes WHERE name = ?1)
"""

_RELEASE = """
    SELECT releases.version, fields
    FROM releases JOIN projects ON projects.id = project_id JOIN indexes ON indexes.id = index_id
    WHERE indexes.name = ? AND projects.name = ?
"""
RELEASE = f"{_RELEASE} AND releases.version = ?"
RELEASES = f"{_RELEASE} ORDER BY releases.id"
PUT_RELEASE = """
    INSERT INTO releases (project_id, version, search_text, fields)
    SELECT projects.id, ?3, ?4, ?5 FROM projects JOIN indexes ON indexes.id = index_id
    WHERE indexes.name = ?1 AND projects.name = ?2
    ON CONFLICT (project_id, version) DO UPDATE SET
        search_text = excluded.search_text, fields = excluded.fields
"""
SEARCH = """
    SELECT indexes.name, projects.name, display_name, projects.serial, status, status_reason,
        releases.version, search_text
    FROM releases JOIN projects ON projects.id = project_id JOIN indexes ON indexes.id = index_id
    WHERE indexes.name = ? AND EXISTS (
        SELECT 1 FROM files
        WHERE files.project_id = projects.id AND files.version = releases.version)
"""
SEARCH_WORD = "AND search_text LIKE ? ESCAPE '!'\n"
SEARCH_ORDER = "ORDER BY projects.name, releases.id"

_FILE = """
    SELECT indexes.name, projects.name, files.version, filename, key, size_bytes, sha256, md5,
        blake2b_256, uploaded_at, uploaded_by, requires_python, metadata_sha256,
        signature_sha256, provenance_sha256, yanked, findings, log
    FROM files JOIN projects ON projects.id = project_id JOIN indexes ON indexes.id = files.index_id
    WHERE indexes.name = ?
"""
FILE_NAMED = f"{_FILE} AND key = ?"
FILE_AT = f"{_FILE} AND key = ? AND filename = ? AND substr(sha256, 1, 16) = ?"
# That the project is of the index is said for SQLite alone: it finds the project first then, and
# does not read all files of the index.
FILES = f"{_FILE} AND projects.index_id = indexes.id AND projects.name = ? ORDER BY files.id"
# In the order of the fields of `ListedFile`.
LISTED_FILES = """
    SELECT indexes.name, files.version, filename, key, size_bytes, sha256, uploaded_at,
        requires_python, metadata_sha256, signature_sha256, provenance_sha256, yanked
    FROM files JOIN projects ON projects.id = project_id JOIN indexes ON indexes.id = files.index_id
    WHERE indexes.name = ? AND projects.index_id = indexes.id AND projects.name = ?
    ORDER BY files.id
"""
HAS_FILES = """
    SELECT EXISTS (SELECT 1 FROM files WHERE version = ?3 AND project_id = (
        SELECT projects.id FROM projects JOIN indexes ON indexes.id = index_id
        WHERE indexes.name = ?1 AND projects.name = ?2))
"""
PUT_FILE = """
    INSERT INTO files (index_id, project_id, version, filename, key, size_bytes, sha256, md5,
        blake2b_256, uploaded_at, uploaded_by, requires_python, metadata_sha256,
        signature_sha256, provenance_sha256, yanked, findings, log)
    SELECT indexes.id, projects.id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
        ?16, ?17, ?18
    FROM indexes JOIN projects ON projects.index_id = indexes.id
    WHERE indexes.name = ?1 AND projects.name = ?2
"""
YANK_FILE = """
    UPDATE files SET yanked = ?3
    WHERE key = ?2 AND index_id = (SELECT id FROM indexes WHERE name = ?1)
"""
REMOVE_FILE = """
    DELETE FROM files WHERE key = ?2 AND index_id = (SELECT id FROM indexes WHERE name = ?1)
"""

_ATTACHMENT = """
    SELECT kind, indexes.name, projects.name, releases.version, sha256_prefix, filename,
        size_bytes, sha256, uploaded_at, uploaded_by, file_key, log
    FROM attachments JOIN releases ON releases.id = release_id
        JOIN projects ON projects.id = project_id JOIN indexes ON indexes.id = index_id
    WHERE indexes.name = ?
"""
ATTACHMENTS = f"{_ATTACHMENT} AND projects.name = ? ORDER BY attachments.id"
ATTACHMENT_AT = (
    f"{_ATTACHMENT} AND index_name = indexes.name AND sha256_prefix = ? AND filename = ?"
)
PUT_ATTACHMENT = """
    INSERT OR REPLACE INTO attachments (release_id, index_name, sha256_prefix, filename, kind,
        size_bytes, sha256, uploaded_at, uploaded_by, file_key, log)
    SELECT releases.id, ?1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
    FROM releases JOIN projects ON projects.id = project_id JOIN indexes ON indexes.id = index_id
    WHERE indexes.name = ?1 AND projects.name = ?2 AND releases.version = ?3
"""
REMOVE_ATTACHMENT = """
    DELETE FROM attachments WHERE index_name = ? AND sha256_prefix = ? AND filename = ?
"""

REMOVE_RELEASE = """
    DELETE FROM releases WHERE version = ?3 AND project_id = (
        SELECT projects.id FROM projects JOIN indexes ON indexes.id = index_id
        WHERE indexes.name = ?1 AND projects.name = ?2)
"""
REMOVE_PROJECT = """
    DELETE FROM projects
    WHERE name = ?2 AND index_id = (SELECT id FROM indexes WHERE name = ?1)
"""
HAD_PROJECT = """
    SELECT 1 FROM indexes
    WHERE name = ?1 AND (
        EXISTS (SELECT 1 FROM projects WHERE index_id = indexes.id AND name = ?2)
        OR EXISTS (SELECT 1 FROM former_projects WHERE index_id = indexes.id AND name = ?2))
"""
ADD_FORMER = """
    INSERT OR IGNORE INTO former_projects SELECT id, ?2 FROM indexes WHERE name = ?1
"""
FORMER = """
    SELECT former_projects.name FROM former_projects JOIN indexes ON indexes.id = index_id
    WHERE indexes.name = ? ORDER BY former_projects.name
"""
FORGET_FORMER = """
    DELETE FROM former_projects
    WHERE name = ?2 AND index_id = (SELECT id FROM indexes WHERE name = ?1)
"""
REMOVE_INDEX = "DELETE FROM indexes WHERE name = ?"
REMOVE_USER = "DELETE FROM users WHERE name = ?"

DELIVERIES = """
    SELECT serial, taken_at, taken_by, subject, undone_serial, document
    FROM deliveries ORDER BY serial
"""
PUT_DELIVERY = "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?)"
UNDO_DELIVERY = "UPDATE deliveries SET undone_serial = ?2 WHERE serial = ?1"

REMOVALS = "SELECT index_name, sha256_prefix, filename FROM removals"
ADD_REMOVAL = "INSERT OR IGNORE INTO removals VALUES (?, ?, ?)"
FORGET_REMOVAL = """
    DELETE FROM removals WHERE index_name = ? AND sha256_prefix = ? AND filename = ?
"""

# All that has bytes below `files/`. The braces are for the schema: `main`, or that of another
# catalog that is attached.
RECORDED = """
    SELECT 'file' AS kind, indexes.name AS index_name, substr(sha256, 1, 16) AS sha256_prefix,
        filename, size_bytes, sha256, metadata_sha256, signature_sha256, provenance_sha256
    FROM {0}.files JOIN {0}.indexes ON indexes.id = index_id
    UNION ALL
    SELECT 'attachment', index_name, sha256_prefix, filename, size_bytes, sha256, NULL, NULL, NULL
    FROM {0}.attachments
"""
PLACES = f"""
    SELECT index_name, sha256_prefix, filename, size_bytes FROM ({RECORDED.format("main")})
"""  # noqa: S608  a statement
COUNT = "SELECT count(*) FROM {}"
