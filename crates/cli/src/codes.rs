//! The codes of findings that only this command makes: of changes, and of SQL held against the
//! project's tables. The pages of codes list them after all others.

use trivium_model::config::Code;

/// A change that may not be made under an accepted number.
pub const VERSION_RULE: Code = Code {
    code: "version-rule",
    meaning: "What the registry accepted under this version was changed in behaviour, or would break readers.",
    remedy: "Leave the accepted version as it was and write the change as the next one; [change-rules.md](change-rules.md) has the rules.",
};

/// SQL that names a table which the project does not declare.
pub const UNKNOWN_TABLE: Code = Code {
    code: "unknown-table",
    meaning: "The SQL reads a table that the project does not declare.",
    remedy: "Take the nearest known name, or declare `[sources.<table>]` in trivium.toml.",
};
/// SQL that gives other types than the config says.
pub const COLUMN_TYPE: Code = Code {
    code: "column-type",
    meaning: "A column of the SQL has another type than the view's config says.",
    remedy: "Cast it in the SQL, or change the type in the JSON.",
};
/// SQL that no engine would run.
pub const QUERY: Code = Code {
    code: "query",
    meaning: "The SQL does not fit the tables: an unknown column or function, or wrong types.",
    remedy: "Mend the SQL at the position. A function is known if Spark has it; one of your own is named with its schema.",
};
/// SQL that the local engine refuses.
pub const NOT_PROVEN: Code = Code {
    code: "not-proven",
    meaning: "A warning: the local engine is not proven to answer this as Spark does, and refuses it. Spark and the DAGs run it.",
    remedy: "Nothing, where Spark runs the view; for the local engine, write it with what [sql.md](sql.md) lists.",
};

/// SQL that Flink refuses.
#[cfg(test)]
const FLINK: Code = Code {
    code: "sql-flink",
    meaning: "Flink refuses a stream view's query, or fails in it (`trivium streams test`).",
    remedy: "Mend the SQL at the position; Flink's own words say what is wrong.",
};

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use expect_test::expect_file;
    use trivium_model::config::{self, Code};
    use trivium_registry::project;
    use trivium_sql::scan::SQL_BYTES_MAX;

    use super::*;

    const OF_FILES: &[Code] = &[VERSION_RULE];
    const OF_SQL: &[Code] = &[UNKNOWN_TABLE, COLUMN_TYPE, QUERY, NOT_PROVEN, FLINK];

    #[test]
    fn pages_of_codes_are_up_to_date() {
        let limits = [
            ("files of a project", project::PROJECT_FILES_MAX),
            ("bytes of a file of SQL", project::file_bytes_max("flights/a.v1.sql")),
        ];
        let files = [project::CODES, OF_FILES, trivium_daggen::reads::CODES].concat();
        expect_file!["../../../docs/config-errors.md"]
            .assert_eq(&config::documentation(&files, &limits));
        expect_file!["../../../docs/sql-errors.md"]
            .assert_eq(&trivium_sql::codes::documentation(OF_SQL));
        // The pages tell the limits that files are held against.
        assert_eq!(project::file_bytes_max("a.v1.sql"), SQL_BYTES_MAX);
        assert_eq!(project::file_bytes_max("a.v1.json"), config::limits::CONFIG_BYTES_MAX);
    }

    #[test]
    fn codes_are_distinct() {
        assert_eq!(FLINK.code, trivium_streamgen::local::FLINK);
        let all = all();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    fn all() -> Vec<&'static str> {
        let tables = [config::CODES, project::CODES, trivium_sql::codes::CODES, OF_FILES, OF_SQL];
        [tables.concat(), trivium_daggen::reads::CODES.to_vec(), crate::lint::CODES.to_vec()]
            .concat()
            .iter()
            .map(|code| code.code)
            .collect()
    }

    /// Where findings are made, no code stands that the pages lack; and what has a code as a
    /// constant is in a table.
    #[test]
    fn every_code_is_listed() {
        let all = all();
        let mut sources = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut sources);
        assert!(sources.len() > 100, "the sources are not where they were");
        let mut makers = 0;
        for (path, text) in sources {
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for constant in text.split("Code = Code {").skip(1) {
                let code = constant.split('"').nth(1).unwrap();
                assert!(all.contains(&code), "{path}: `{code}` is in no table");
            }
            if !text.contains("Diagnostic::error(") || path.contains("test") {
                continue;
            }
            makers += 1;
            for word in text.split('"').skip(1).step_by(2).filter(|word| is_like_a_code(word)) {
                assert!(all.contains(&word), "{path}: `{word}` is in no table of codes");
            }
        }
        assert!(makers > 5, "{makers} files make findings");
    }

    fn is_like_a_code(word: &str) -> bool {
        word.contains('-')
            && word.split('-').all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            })
    }

    fn collect(folder: &Path, sources: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, sources);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                sources.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
}
