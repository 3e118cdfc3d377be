//! How settings are read: one macro makes the struct, its reader and its reference entry.
//!
//! Serde would stop at the first problem and could not say what a key was probably meant to be;
//! reading field by field reports everything at once.

use toml::{Table, Value};

use super::problems::Problems;

/// A value that a setting can have.
pub(crate) trait Setting: Sized {
    /// Whether the value must never be shown, and may come from a file named by `KEY_file`.
    const SECRET: bool = false;

    /// What the reference calls values of this type.
    fn kind() -> String;

    /// Reads the value found at `path`; notes what is wrong and answers nothing otherwise.
    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self>;

    /// What holds when the setting is not there and has no default.
    fn absent(path: &str, problems: &mut Problems) -> Option<Self> {
        problems.add_bare(path, "must be set");
        None
    }

    /// How the value is written in TOML, for the reference.
    fn show(&self) -> String;

    /// The fields, if this is a section of its own.
    fn fields() -> Vec<Field> {
        Vec::new()
    }
}

/// What the reference says about one setting.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its key.
    pub name: &'static str,
    /// The doc comment of the field.
    pub doc: String,
    /// What kind of value it takes.
    pub kind: String,
    /// Its default in TOML; nothing when it must be given.
    pub default: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
    /// The fields inside it.
    pub fields: Vec<Field>,
}

/// Reads one field of a section, from its key or, for a secret, from the file that `KEY_file`
/// names; `absent` says what holds when neither is there.
pub(super) fn read_field<T: Setting>(
    table: &Table,
    path: &str,
    name: &str,
    problems: &mut Problems,
    absent: fn(&str, &mut Problems) -> Option<T>,
) -> Option<T> {
    let at = join(path, name);
    let file_key = format!("{name}_file");
    let read = match (table.get(name), table.get(&file_key)) {
        (Some(_), Some(_)) if T::SECRET => {
            problems.add_bare(&at, format!("give either {name} or {file_key}, not both"));
            None
        }
        (None, Some(file)) if T::SECRET => read_file(file, &join(path, &file_key), problems)
            .and_then(|content| T::read(&Value::String(content), &at, problems)),
        (Some(value), _) => T::read(value, &at, problems),
        (None, _) => return absent(&at, problems),
    };
    // What is wrong has been noted; the default stands in for it, so that everything else can
    // still be checked.
    read.or_else(|| absent(&at, &mut Problems::default()))
}

/// Reads a secret from a file; one newline at its end is not part of it.
fn read_file(file: &Value, path: &str, problems: &mut Problems) -> Option<String> {
    let Some(name) = file.as_str() else {
        problems.add(path, file, "must be the name of a file");
        return None;
    };
    match std::fs::read_to_string(name) {
        Ok(content) => {
            let content = content.strip_suffix('\n').unwrap_or(&content);
            Some(content.strip_suffix('\r').unwrap_or(content).to_owned())
        }
        Err(error) => {
            problems.add(path, name, format!("cannot be read: {error}"));
            None
        }
    }
}

/// Notes every key of the table that no field has, with the nearest one that exists.
pub(super) fn refuse_unknown(table: &Table, path: &str, known: &[Field], problems: &mut Problems) {
    let keys = known.iter().flat_map(|field| {
        let file = field.secret.then(|| format!("{}_file", field.name));
        std::iter::once(field.name.to_owned()).chain(file)
    });
    let keys: Vec<String> = keys.collect();
    for name in table.keys().filter(|name| !keys.contains(name)) {
        let nearest = keys
            .iter()
            .map(|key| (strsim::jaro_winkler(key, name), key))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|left, right| left.0.total_cmp(&right.0));
        let hint = nearest.map_or_else(
            || format!("known settings here: {}", keys.join(", ")),
            |(_, key)| format!("did you mean {}?", join(path, key)),
        );
        problems.add_bare(&join(path, name), format!("there is no such setting; {hint}"));
    }
}

/// A path one key longer.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Declares a section: the struct, how it is read, and what the reference says about it.
/// A field without a default must be given, unless it is a section that can do without. What is
/// `prepared by` a function is read from the table that it makes of the written one.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident $(, prepared by $prepare:path)? {
            $( $(#[doc = $doc:literal])* $field:ident : $type:ty $(= $default:expr)? ),+ $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type ),+
        }

        impl $crate::config::reading::Setting for $name {
            fn kind() -> String {
                "table".to_owned()
            }

            fn read(
                value: &toml::Value,
                path: &str,
                problems: &mut $crate::config::Problems,
            ) -> Option<Self> {
                use $crate::config::reading::{read_field, refuse_unknown};
                let toml::Value::Table(table) = value else {
                    problems.add(path, value, "must be a table");
                    return None;
                };
                $(let table = &$prepare(table, path, problems);)?
                refuse_unknown(table, path, &Self::fields(), problems);
                $(
                    let $field = read_field::<$type>(
                        table,
                        path,
                        stringify!($field).trim_start_matches("r#"),
                        problems,
                        section!(@absent $type $(, $default)?),
                    );
                )+
                Some(Self { $( $field: $field? ),+ })
            }

            fn absent(path: &str, problems: &mut $crate::config::Problems) -> Option<Self> {
                Self::read(&toml::Value::Table(toml::Table::new()), path, problems)
            }

            fn show(&self) -> String {
                String::new()
            }

            fn fields() -> Vec<$crate::config::reading::Field> {
                use $crate::config::reading::{Field, Setting};
                vec![$(
                    Field {
                        name: stringify!($field).trim_start_matches("r#"),
                        doc: [$($doc),*].map(str::trim).join(" "),
                        kind: <$type as Setting>::kind(),
                        default: section!(@shown $type $(, $default)?),
                        secret: <$type as Setting>::SECRET,
                        fields: <$type as Setting>::fields(),
                    }
                ),+]
            }
        }
    };
    (@absent $type:ty) => { <$type as $crate::config::reading::Setting>::absent };
    (@absent $type:ty, $default:expr) => { |_, _| Some($default) };
    (@shown $type:ty) => { None };
    (@shown $type:ty, $default:expr) => {{
        let default: $type = $default;
        Some($crate::config::reading::Setting::show(&default))
    }};
}
