//! Units that write to one place: whichever is last wins, so that somebody should give them other names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bulkhead_schema::Diagnostic;

use crate::paths::taken_names;
use crate::{CompileKind, CompileMode, Context, Unit, UnitIndex};

/// Says of each file that several units write which they are, in Cargo's order.
///
/// # Errors
/// Two things are to be documented of which one could not be found again.
pub fn collisions(context: &Context<'_>, warn: &mut dyn FnMut(String)) -> Result<(), Diagnostic> {
    let mut order: Vec<UnitIndex> = context.graph.iter().map(|(index, _)| index).collect();
    order.sort_by_key(|index| context.unit(*index).rank());
    let mut documented = HashMap::new();
    let mut writers: HashMap<PathBuf, &Unit> = HashMap::new();
    for index in order {
        let unit = context.unit(index);
        if unit.mode == CompileMode::Doc && context.options.primary_packages.contains(&unit.package.id) {
            refuse_namesakes(unit, &mut documented)?;
        }
        for path in taken_names(context, index).into_iter().flat_map(|output| [Some(output.path), output.uplifted]) {
            let Some(path) = path else { continue };
            if let Some(other) = writers.get(&path) {
                warn(warning(&path, unit, other));
            }
            writers.insert(path, unit);
        }
    }
    Ok(())
}

/// In the packages that were asked for, only a library and a program may have one name: that is a known weakness.
fn refuse_namesakes<'a>(
    unit: &'a Unit,
    documented: &mut HashMap<(String, bool, CompileKind), &'a Unit>,
) -> Result<(), Diagnostic> {
    let name = (unit.target.crate_name(), unit.target.is_lib(), unit.platform);
    let Some(other) = documented.insert(name, unit) else { return Ok(()) };
    let message = format!(
        "document output filename collision\nThe {} has the same name as the {}.\n\
         Only one may be documented at once since they output to the same path.\n\
         Consider documenting only one, renaming one, or marking one with `doc = false` in Cargo.toml.",
        named(unit, ""),
        named(other, "")
    );
    Err(Diagnostic::error("documentation-collision", message))
}

fn warning(path: &Path, unit: &Unit, other: &Unit) -> String {
    const ISSUE: &str = "see <https://github.com/rust-lang/cargo/issues/6313>";
    let advice = match unit.mode {
        CompileMode::Doc => {
            format!("= note: this is a known bug where multiple crates with the same name use the same path; {ISSUE}")
        }
        _ => format!(
            "= note: this may become a hard error in the future; {ISSUE}\n\
             = help: consider changing their names to be unique or compiling them separately"
        ),
    };
    let (unit, other) = (named(unit, " target"), named(other, " target"));
    format!(
        "output filename collision at {}\n|\n= note: the {unit} has the same output filename as the {other}\n{advice}",
        path.display()
    )
}

/// ``bin `x` in package `y v0.1.0` ``
fn named(unit: &Unit, word: &str) -> String {
    format!("{}{word} `{}` in package `{}`", unit.target.kind.as_str(), unit.target.name, unit.package.id)
}
