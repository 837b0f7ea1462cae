//! The codes of findings that belong to no one file's text: `docs/config-errors.md` lists them
//! after those of the config parser.

use trivium_model::config::Code;

/// A file that is none of ours.
pub const UNKNOWN_FILE: Code = Code {
    code: "unknown-file",
    meaning: "The file is none of the three kinds, or its name is malformed.",
    remedy: "Rename it, move it into its namespace's folder, or take it away.",
};
/// A file twice.
pub const DUPLICATE_FILE: Code = Code {
    code: "duplicate-file",
    meaning: "The same file is given twice in a request.",
    remedy: "Give it once.",
};
/// SQL alone.
pub const MISSING_CONFIG: Code = Code {
    code: "missing-config",
    meaning: "SQL has no JSON beside it.",
    remedy: "Write the view's config, or remove the SQL.",
};
/// A view of SQL alone.
pub const MISSING_SQL: Code = Code {
    code: "missing-sql",
    meaning: "A batch view, or a stream view with inputs, has no SQL beside it.",
    remedy: "Write its query to the file that the message names.",
};
/// A view with SQL that nothing runs.
pub const NEEDLESS_SQL: Code = Code {
    code: "needless-sql",
    meaning: "A view has SQL that nothing would run: a direct one, or a stream view without inputs.",
    remedy: "Remove the SQL, or make the view a batch view, or declare a stream view's inputs.",
};
/// A condition on events that is none.
pub const BAD_FILTER: Code = Code {
    code: "bad-filter",
    meaning: "A window's `filter` is no expression over the events' columns, or is not true or false.",
    remedy: "Do what the message says; `docs/expressions.md` has the language.",
};
/// SQL of a derived feature.
pub const BAD_EXPRESSION: Code = Code {
    code: "bad-expression",
    meaning: "The SQL of a service's derived feature is wrong, names what the service neither lists nor takes as an input, or gives another type than the feature's.",
    remedy: "Mend it at the position: docs/expressions.md.",
};
/// See [`super::file_bytes_max`].
pub const FILE_TOO_LARGE: Code = Code {
    code: "file-too-large",
    meaning: "The file has more bytes than a file of its kind may have.",
    remedy: "Split the view.",
};
/// See [`super::PROJECT_FILES_MAX`].
pub const TOO_MANY_FILES: Code = Code {
    code: "too-many-files",
    meaning: "The configs folder holds more files than a project may have.",
    remedy: "Split the project.",
};

/// A file or folder that the system does not let us read.
pub const UNREADABLE: Code = Code {
    code: "unreadable",
    meaning: "The file or folder cannot be read: a link that leads nowhere, or no right to it.",
    remedy: "Mend the link or the rights, or take it away.",
};
/// A device, a pipe, a socket.
pub const NOT_A_FILE: Code = Code {
    code: "not-a-file",
    meaning: "What lies among the configs is no regular file.",
    remedy: "Take it away.",
};
/// Bytes that are no text.
pub const NOT_UTF8: Code = Code {
    code: "not-utf8",
    meaning: "The file, or its name, is not UTF-8 text.",
    remedy: "Save it as UTF-8, or rename it.",
};

/// All of them, in the order of the documentation.
pub const CODES: &[Code] = &[
    UNKNOWN_FILE,
    DUPLICATE_FILE,
    MISSING_CONFIG,
    MISSING_SQL,
    NEEDLESS_SQL,
    BAD_FILTER,
    BAD_EXPRESSION,
    FILE_TOO_LARGE,
    TOO_MANY_FILES,
    UNREADABLE,
    NOT_A_FILE,
    NOT_UTF8,
];
