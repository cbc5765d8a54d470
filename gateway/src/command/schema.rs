//! `weir schema`: what a configuration file may hold, for editors and for people.

use router_core::config::{markdown, schema as json_schema};

use super::{Stop, print};
use crate::cli::{Schema, SchemaFormat};

pub(crate) fn schema(arguments: &Schema) -> Result<(), Stop> {
    match arguments.format {
        SchemaFormat::Json => print(format!("{:#}\n", json_schema()).as_bytes()),
        SchemaFormat::Markdown => print(markdown().as_bytes()),
    }
}
