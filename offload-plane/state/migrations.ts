/** The database's schema, one step a version; a step that was released is never changed. */

/** 'oplp': says in the file's header whose it is. */
export const APPLICATION_ID = 0x6f706c70;

export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE documents (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE intents (
    request TEXT PRIMARY KEY,
    container TEXT NOT NULL,
    body TEXT NOT NULL,
    createdAtMs INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    atMs INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE TABLE answers (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer TEXT,
    result TEXT,
    createdAtMs INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX answersByAge ON answers (createdAtMs)
  `,
];
