//! A list of short texts in one column: groups, scopes, authentication methods.

/// A list of texts, kept as a JSON array in a text column.
#[derive(
    Clone, PartialEq, Eq, diesel::deserialize::FromSqlRow, diesel::expression::AsExpression,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct TextList(String);

portable_column!(TextList, diesel::sql_types::Text, String);

impl TextList {
    /// The texts. A column that holds no JSON array reads as an empty list.
    pub fn to_vec(&self) -> Vec<String> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl Default for TextList {
    fn default() -> Self {
        Self("[]".to_owned())
    }
}

impl std::fmt::Debug for TextList {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl<S: AsRef<str>> FromIterator<S> for TextList {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let texts = texts.into_iter().map(|text| text.as_ref().to_owned());
        Self(texts.collect::<serde_json::Value>().to_string())
    }
}
