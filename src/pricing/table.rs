use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, LazyLock};

use super::error::PriceError;
use super::file;
use super::{Cost, Price};
use crate::protocol::model::Usage;

/// Most models of a table.
pub const MAX_PRICES: usize = 10_000;

/// Longest name of a model in a table, in bytes.
pub const MAX_NAME: usize = 256;

/// See the [module docs](super#the-embedded-table).
const EMBEDDED: &str = include_str!("default.json");

/// Prices by the names of models. Cloning it clones a handle. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct PriceTable(Arc<Prices>);

#[derive(Debug, Clone, Default)]
struct Prices {
    exact: HashMap<String, Price>,
    /// Names without the `*` that they end in.
    prefixes: BTreeMap<String, Price>,
}

impl Default for PriceTable {
    /// The embedded table.
    fn default() -> Self {
        static TABLE: LazyLock<PriceTable> = LazyLock::new(|| {
            let empty = PriceTable::empty();
            // A test reads it; if it were broken, all prices would be unknown.
            empty.clone().with_json(EMBEDDED).unwrap_or(empty)
        });
        TABLE.clone()
    }
}

impl PriceTable {
    /// A table in which every price is unknown.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::default())
    }

    /// Adds the prices of a JSON object, which replace those of the same names.
    ///
    /// # Errors
    ///
    /// Where it is not of the [shape](super#shape) or beyond the [limits](super#limits).
    pub fn with_json(mut self, json: &str) -> Result<Self, PriceError> {
        for (model, price) in file::read(json)? {
            self = self.with(&model, price)?;
        }
        Ok(self)
    }

    /// Adds the price of a model, or of all whose names begin so where the name ends in `*`.
    ///
    /// # Errors
    ///
    /// For a name that is none, and where the table is full.
    pub fn with(mut self, model: &str, price: impl Into<Price>) -> Result<Self, PriceError> {
        let prefix = model.strip_suffix('*');
        let name = prefix.unwrap_or(model);
        if model.is_empty() || model.len() > MAX_NAME || name.contains('*') {
            return Err(PriceError::Name { model: model.chars().take(64).collect() });
        }
        let prices = Arc::make_mut(&mut self.0);
        if prefix.is_some() {
            prices.prefixes.insert(name.to_owned(), price.into());
        } else {
            prices.exact.insert(name.to_owned(), price.into());
        }
        if prices.exact.len() + prices.prefixes.len() > MAX_PRICES {
            return Err(PriceError::TooMany);
        }
        Ok(self)
    }

    /// What a model costs, found by the [rules for names](super#names).
    #[must_use]
    pub fn price(&self, model: &str) -> Option<&Price> {
        let exact = || forms(model).find_map(|name| self.0.exact.get(name));
        let undated = || forms(model).find_map(|name| self.0.exact.get(undated(name)?));
        let family = || forms(model).filter_map(|name| self.0.family(name)).max_by_key(|f| f.0);
        exact().or_else(undated).or_else(|| Some(family()?.1))
    }

    /// What these tokens of a model cost; `None` where that is unknown.
    #[must_use]
    pub fn cost(&self, model: &str, usage: &Usage<'_>) -> Option<Cost> {
        self.price(model)?.cost(usage)
    }

    /// How many models it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.exact.len() + self.0.prefixes.len()
    }

    /// Whether every price is unknown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Prices {
    /// The longest entry that `name` begins with, and its length.
    fn family(&self, name: &str) -> Option<(usize, &Price)> {
        let mut rest = name;
        loop {
            let before = (Bound::Unbounded, Bound::Included(rest));
            let (prefix, price) = self.prefixes.range::<str, _>(before).next_back()?;
            if rest.starts_with(prefix.as_str()) {
                return Some((prefix.len(), price));
            }
            // Whatever entry `name` begins with stands before this one, which begins with it too.
            rest = common(rest, prefix);
        }
    }
}

/// The beginning that both share.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let end = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
    let end = end.map_or(one.len().min(other.len()), |((at, _), _)| at);
    one.get(..end).unwrap_or_default()
}

/// The name, and what stands behind each `/` in it.
fn forms(model: &str) -> impl Iterator<Item = &str> {
    let behind = model.match_indices('/').filter_map(|(at, _)| model.get(at + 1..));
    std::iter::once(model).chain(behind)
}

/// The name without the date at its end, where it has one.
fn undated(name: &str) -> Option<&str> {
    const FORMS: [&str; 3] = ["-20dddddd", "@20dddddd", "-20dd-dd-dd"];
    let has = |form: &str| {
        let start = name.len().checked_sub(form.len())?;
        let (rest, date) = name.split_at_checked(start)?;
        let fits = |(want, byte): (u8, u8)| match want {
            b'd' => byte.is_ascii_digit(),
            _ => want == byte,
        };
        form.bytes().zip(date.bytes()).all(fits).then_some(rest)
    };
    name.strip_suffix("-latest").or_else(|| FORMS.into_iter().find_map(has))
}
