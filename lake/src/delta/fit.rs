//! Whether rows of ours fit the schema that a table's log states, and the columns that it lacks.

use serde::Deserialize;
use serde_json::Value;

use crate::error::LakeError;
use crate::table::{Column, PARTITION, Table};

/// A schema beside ours. What the table has and we do not know is of no concern: our files read NULL there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fit {
    /// Columns that may be added: every row there is reads NULL in them.
    pub(crate) lacks: Vec<Column>,
    /// The first thing that cannot be helped.
    differs: Option<Difference>,
}

#[derive(Clone, Debug)]
struct Difference {
    what: String,
    found: String,
    wanted: String,
}

#[derive(Deserialize)]
struct Fields {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    r#type: Value,
    nullable: bool,
}

impl Fit {
    /// Compares `table` with a `schemaString` and the partition columns beside it.
    pub(super) fn of(
        table: &Table,
        schema: &str,
        partitions: &[String],
    ) -> serde_json::Result<Self> {
        let Fields { fields } = serde_json::from_str(schema)?;
        let mut fit = Self::default();
        if partitions != [PARTITION] {
            let (found, wanted) =
                (format!("`{}`", partitions.join(", ")), format!("`{PARTITION}`"));
            fit.differs("the list of partition columns".to_owned(), found, wanted);
        }
        for column in &table.columns {
            // Delta's names are told apart without regard to case, Parquet's are not.
            let same = |field: &&Field| field.name.eq_ignore_ascii_case(&column.name);
            let wanted = shown(column.kind.delta(), column.nullable);
            match fields.iter().find(same) {
                None if column.nullable => fit.lacks.push(column.clone()),
                None => fit.differs(named(&column.name), "not there".to_owned(), wanted),
                Some(field) => {
                    let found = field.shown();
                    if field.name != column.name {
                        let (found, wanted) = (named(&field.name), named(&column.name));
                        fit.differs(named(&column.name), found, wanted);
                    } else if found != wanted {
                        fit.differs(named(&column.name), found, wanted);
                    }
                }
            }
        }
        Ok(fit)
    }

    fn differs(&mut self, what: String, found: String, wanted: String) {
        self.differs.get_or_insert(Difference { what, found, wanted });
    }

    /// Refuses a schema that our rows do not fit, columns that may be added aside.
    ///
    /// # Errors
    /// [`LakeError::Schema`].
    pub(crate) fn growable(&self, table: &Table) -> Result<(), LakeError> {
        let Some(Difference { what, found, wanted }) = self.differs.clone() else { return Ok(()) };
        Err(LakeError::Schema { table: table.name.to_string(), what, found, wanted })
    }

    /// As [`Fit::growable`]; a column that the table lacks is refused too: what files of ours hold in it nobody would see.
    ///
    /// # Errors
    /// [`LakeError::Schema`].
    pub(crate) fn writable(&self, table: &Table) -> Result<(), LakeError> {
        self.growable(table)?;
        let Some(column) = self.lacks.first() else { return Ok(()) };
        Err(LakeError::Schema {
            table: table.name.to_string(),
            what: named(&column.name),
            found: "not there (a start of ingest adds it)".to_owned(),
            wanted: shown(column.kind.delta(), column.nullable),
        })
    }
}

/// What a schema says of a column for people.
pub(super) fn metadata(column: &Column) -> Value {
    serde_json::json!({ "comment": column.about })
}

/// A `schemaString` with `columns` at its end; everything else stays as it is.
pub(super) fn widened(schema: &str, columns: &[Column]) -> serde_json::Result<String> {
    let mut schema: Value = serde_json::from_str(schema)?;
    let fields = schema.get_mut("fields").and_then(Value::as_array_mut);
    let fields = fields.ok_or_else(|| serde::de::Error::missing_field("fields"))?;
    fields.extend(columns.iter().map(|column| {
        serde_json::json!({
            "name": column.name, "type": column.kind.delta(), "nullable": column.nullable,
            "metadata": metadata(column),
        })
    }));
    Ok(schema.to_string())
}

impl Field {
    fn shown(&self) -> String {
        match &self.r#type {
            Value::String(name) => shown(name, self.nullable),
            nested => shown(&nested.to_string(), self.nullable),
        }
    }
}

fn named(column: &str) -> String {
    format!("column `{column}`")
}

fn shown(kind: &str, nullable: bool) -> String {
    format!("`{kind}{}`", if nullable { "" } else { " not null" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::tables::readings;

    /// Our own schema as a `schemaString`, with a change.
    fn stated(table: &Table, change: impl Fn(&mut Vec<Value>)) -> String {
        let mut fields: Vec<Value> = table
            .columns
            .iter()
            .map(|c| serde_json::json!({"name": c.name, "type": c.kind.delta(), "nullable": c.nullable, "metadata": {}}))
            .collect();
        change(&mut fields);
        serde_json::json!({"type": "struct", "fields": fields}).to_string()
    }

    fn field<'a>(fields: &'a mut [Value], name: &str) -> &'a mut Value {
        fields.iter_mut().find(|field| field["name"] == name).unwrap()
    }

    fn refused(change: impl Fn(&mut Vec<Value>)) -> String {
        let partitions = [PARTITION.to_owned()];
        let fit =
            Fit::of(&readings::table(), &stated(&readings::table(), change), &partitions).unwrap();
        fit.growable(&readings::table()).unwrap_err().to_string()
    }

    #[test]
    fn our_own_schema_fits_and_what_we_do_not_know_is_left_alone() {
        let partitions = [PARTITION.to_owned()];
        for table in Catalog::builtin().tables() {
            Fit::of(table, &stated(table, |_| {}), &partitions).unwrap().writable(table).unwrap();
        }
        let more = stated(&readings::table(), |fields| {
            fields.insert(
                1,
                serde_json::json!({"name": "later", "type": {"type": "array"}, "nullable": true}),
            );
        });
        Fit::of(&readings::table(), &more, &partitions)
            .unwrap()
            .writable(&readings::table())
            .unwrap();
    }

    #[test]
    fn inv10_only_nullable_columns_are_added_and_all_else_is_refused_by_name() {
        let error = refused(|fields| field(fields, "value")["type"] = "string".into());
        assert!(
            error.contains("`readings`: column `value` is `string`, this version writes `double`"),
            "{error}"
        );
        assert!(error.contains("undo the change"), "{error}");
        let error = refused(|fields| field(fields, "flags")["nullable"] = false.into());
        assert!(
            error.contains("column `flags` is `string not null`, this version writes `string`"),
            "{error}"
        );
        let error = refused(|fields| fields.retain(|field| field["name"] != "metric"));
        assert!(
            error.contains("column `metric` is not there, this version writes `string not null`"),
            "{error}"
        );
        let error = refused(|fields| field(fields, "extra")["name"] = "Extra".into());
        assert!(error.contains("column `Extra`"), "{error}");
        let error = refused(|fields| {
            field(fields, "extra")["type"] = serde_json::json!({"type": "struct", "fields": []});
        });
        assert!(error.contains("column `extra`") && error.contains("struct"), "{error}");
        let other = [PARTITION.to_owned(), "site".to_owned()];
        let fit = Fit::of(&readings::table(), &stated(&readings::table(), |_| {}), &other).unwrap();
        let error = fit.growable(&readings::table()).unwrap_err().to_string();
        assert!(error.contains("partition columns is `event_date, site`"), "{error}");
    }

    #[test]
    fn inv10_a_column_that_is_added_stands_at_the_end_and_the_rest_stays() {
        let old = stated(&readings::table(), |fields| {
            fields.retain(|field| field["name"] != "extra");
            field(fields, "value")["metadata"] = serde_json::json!({"comment": "x"});
        });
        let partitions = [PARTITION.to_owned()];
        let fit = Fit::of(&readings::table(), &old, &partitions).unwrap();
        fit.growable(&readings::table()).unwrap();
        let error = fit.writable(&readings::table()).unwrap_err().to_string();
        assert!(error.contains("column `extra` is not there"), "{error}");
        let new = widened(&old, &fit.lacks).unwrap();
        Fit::of(&readings::table(), &new, &partitions)
            .unwrap()
            .writable(&readings::table())
            .unwrap();
        let new: Value = serde_json::from_str(&new).unwrap();
        let fields = new["fields"].as_array().unwrap();
        assert_eq!(fields.last().unwrap()["name"], "extra");
        let value = fields.iter().find(|field| field["name"] == "value").unwrap();
        assert_eq!(value["metadata"]["comment"], "x");
    }
}
