//! From JSON to prices. By hand, so that an error names the model and the member.

use serde_json::{Map, Value};

use super::error::PriceError;
use super::price::{Above, Price, Rate, Rates};

const OBJECT: &str = "object";
const RATE: &str = "number of USD between 0 and a million";
const TOKENS: &str = "whole number of tokens";
const KNOWN: &str = "known member";

/// The entries of a table, names as they are written, comments left out.
pub(super) fn read(json: &str) -> Result<Vec<(String, Price)>, PriceError> {
    let models: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| PriceError::Json { line: error.line(), column: error.column() })?;
    let named = models.into_iter().filter(|(model, _)| !is_comment(model));
    named.map(|(model, value)| price(&model, &value).map(|price| (model, price))).collect()
}

fn is_comment(name: &str) -> bool {
    name.starts_with('_')
}

/// Where an error is.
#[derive(Clone, Copy)]
struct Place<'a> {
    model: &'a str,
    within: &'static str,
}

impl Place<'_> {
    fn error(self, member: &str, expected: &'static str) -> PriceError {
        let dot = if self.within.is_empty() || member.is_empty() { "" } else { "." };
        let member = format!("{}{dot}{member}", self.within);
        PriceError::Price { model: self.model.to_owned(), member, expected }
    }
}

fn price(model: &str, value: &Value) -> Result<Price, PriceError> {
    let place = Place { model, within: "" };
    let members = value.as_object().ok_or_else(|| place.error("", OBJECT))?;
    let mut price = Price::default();
    for (name, value) in members.iter().filter(|(name, _)| !is_comment(name)) {
        match name.as_str() {
            "above" => price.above = Some(above(model, value)?),
            _ => set(&mut price.rates, place, name, value)?,
        }
    }
    Ok(price)
}

fn above(model: &str, value: &Value) -> Result<Above, PriceError> {
    let place = Place { model, within: "above" };
    let members = value.as_object().ok_or_else(|| place.error("", OBJECT))?;
    let (mut input_tokens, mut rates) = (None, Rates::default());
    for (name, value) in members.iter().filter(|(name, _)| !is_comment(name)) {
        match name.as_str() {
            "input_tokens" => input_tokens = value.as_u64(),
            _ => set(&mut rates, place, name, value)?,
        }
    }
    let input_tokens = input_tokens.ok_or_else(|| place.error("input_tokens", TOKENS))?;
    Ok(Above::new(input_tokens, rates))
}

fn set(rates: &mut Rates, place: Place<'_>, name: &str, value: &Value) -> Result<(), PriceError> {
    let rate = match name {
        "input" => &mut rates.input,
        "output" => &mut rates.output,
        "cache_read" => &mut rates.cache_read,
        "cache_write" => &mut rates.cache_write,
        "cache_write_1h" => &mut rates.cache_write_1h,
        "reasoning" => &mut rates.reasoning,
        _ => return Err(place.error(name, KNOWN)),
    };
    // A null says that it is not known.
    if !value.is_null() {
        let known = value.as_f64().and_then(Rate::from_usd);
        *rate = Some(known.ok_or_else(|| place.error(name, RATE))?);
    }
    Ok(())
}
