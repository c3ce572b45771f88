//! `when`: an expression in the Common Expression Language over a row's columns.
//!
//! Compiled once. Bounded: at most a thousand bytes, no loops (`all`, `map`, …) and no regular expressions, which a device could
//! write; so it ends in time proportional to its length. What it has no answer to (a comparison with a value that is not there)
//! is counted, and decides nothing.

use std::sync::Arc;

use cel::common::ast::Expr;
use cel::{Context, Env, Program, Value};

/// Longer expressions are refused, bytes.
const BYTES_MAX: usize = 1_000;
/// What an expression may name.
const COLUMNS: [&str; 9] =
    ["value", "text", "unit", "quality", "site", "device", "metric", "event_us", "received_us"];
/// What an expression may call.
const FUNCTIONS: [&str; 7] =
    ["startsWith", "endsWith", "contains", "size", "double", "int", "string"];

/// A row's columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) value: Option<f64>,
    pub(crate) text: Option<&'a str>,
    pub(crate) unit: &'a str,
    pub(crate) quality: &'static str,
    pub(crate) site: &'a str,
    pub(crate) device: &'a str,
    pub(crate) metric: &'a str,
    pub(crate) event_us: i64,
    pub(crate) received_us: i64,
}

/// A compiled expression.
pub(crate) struct Expression {
    program: Program,
    /// The standard functions.
    env: Arc<Env>,
    /// The columns that it names: no other is handed to it.
    names: Vec<&'static str>,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("is longer than {BYTES_MAX} bytes"));
        }
        let program = Program::compile(text).map_err(|error| {
            format!("is no CEL expression: {}", error.to_string().replace('\n', " "))
        })?;
        if loops(&program.expression().expr) {
            return Err("has a loop, a map or a structure: a row has no lists".to_owned());
        }
        let references = program.references();
        if let Some(name) = references.variables().into_iter().find(|name| !COLUMNS.contains(name))
        {
            return Err(format!(
                "names `{name}`, which is no column: there are {}",
                COLUMNS.join(", ")
            ));
        }
        let calls = references.functions().into_iter().filter(|name| is_name(name));
        if let Some(name) = calls.into_iter().find(|name| !FUNCTIONS.contains(name)) {
            return Err(format!("calls `{name}`: there are {}", FUNCTIONS.join(", ")));
        }
        let names: Vec<&'static str> =
            COLUMNS.into_iter().filter(|name| references.has_variable(name)).collect();
        if names.is_empty() {
            return Err("names no column: it is the same for every row".to_owned());
        }
        drop(references);
        let expression = Self { program, env: Arc::new(Env::stdlib()), names };
        expression.probe()?;
        Ok(expression)
    }

    /// Whether it is true of a row; none: it has no answer, or one that is neither.
    pub(crate) fn holds(&self, row: &Columns<'_>) -> Option<bool> {
        let mut context = Context::with_env(self.env.clone());
        for name in &self.names {
            let value = match *name {
                "value" => row.value.map_or(Value::Null, Value::Float),
                "text" => row.text.map_or(Value::Null, text),
                "unit" => text(row.unit),
                "quality" => text(row.quality),
                "site" => text(row.site),
                "device" => text(row.device),
                "metric" => text(row.metric),
                "event_us" => Value::Int(row.event_us),
                _ => Value::Int(row.received_us),
            };
            context.add_variable_from_value(*name, value);
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Some(holds),
            _ => None,
        }
    }

    /// An expression that has no answer for a number, nor for a text, never has one.
    fn probe(&self) -> Result<(), String> {
        let row = Columns {
            value: Some(1.0),
            text: None,
            unit: "",
            quality: "good",
            site: "s",
            device: "d",
            metric: "m",
            event_us: 1,
            received_us: 1,
        };
        let numbers = self.holds(&row);
        let texts = self.holds(&Columns { value: None, text: Some("x"), ..row });
        let both = self.holds(&Columns { text: Some("x"), ..row });
        match numbers.or(texts).or(both) {
            Some(_) => Ok(()),
            None => Err("is true or false of no row: `value` is a double (write 5.0, not 5), `event_us` and `received_us` are integers, all else is text".to_owned()),
        }
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expression").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Whether there is anything in it that could take longer than it is long.
fn loops(expression: &Expr) -> bool {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => false,
        Expr::Comprehension(_) | Expr::Map(_) | Expr::Struct(_) => true,
        Expr::List(list) => list.elements.iter().any(|own| loops(&own.expr)),
        Expr::Select(select) => loops(&select.operand.expr),
        Expr::Call(call) => {
            call.target.iter().any(|target| loops(&target.expr))
                || call.args.iter().any(|own| loops(&own.expr))
        }
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned().into())
}

/// Operators are functions, too, but have no names of letters only.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
}
